"""What every update of a strategy said, over time: rows of metrics.jsonl in the search's folder, and TensorBoard scalars; the latter also
of every trial, `trial/reward`, `trial/best` and `trial/seconds` over the trials' numbers.

  {"kind": "update", "step": 7, "trials": 140, "baseline": 0.91, "loss": ..., "entropy": ..., "clip_fraction": ..., "kl": ...}

`step` counts updates, `trials` the rewards so far; the rest is the strategy's `diagnostics`. Like a snapshot, the file follows from the
journal: a replay writes the rows that a kill has cost.
"""

import json
import pathlib

from nasnet_tf.base.files import naming, read_json_lines, replace_file

NAME = "metrics.jsonl"
FOLDER = "logs"  # of TensorBoard's files


def read_updates(path: pathlib.Path) -> list[dict]:
    """The rows, as files.read_json_lines reads them."""
    return read_json_lines(path, ("kind", "step", "trials"))


def _line(row: dict) -> str:
    return json.dumps(row) + "\n"


class UpdateLog:
    """Appends rows, each once.

    Args:
      workdir: of the search.
      is_new: the search begins; rows of another one that are there go.
    """

    def __init__(self, workdir: pathlib.Path, is_new: bool):
        self._workdir = workdir
        path = self._path = workdir / NAME
        rows = [] if is_new or not path.is_file() else read_updates(path)
        replace_file(path, "".join(map(_line, rows)))
        self._last_step = rows[-1]["step"] if rows else 0
        self._file = path.open("a")
        self._writer = None

    def write(self, diagnostics: dict[str, float], trials: int) -> None:
        """Writes a row, if there was an update since the last one; strategies that count no "updates" get none."""
        values = dict(diagnostics)
        step = int(values.pop("updates", 0))
        if step <= self._last_step:
            return
        self._last_step = step
        with naming(self._path):
            self._file.write(_line({"kind": "update", "step": step, "trials": trials, **values}))
            self._file.flush()
        self._write_scalars("update", values, step)

    def write_trial(self, number: int, **values: float) -> None:
        """Scalars of a trial that was rewarded."""
        self._write_scalars("trial", values, number)

    def _write_scalars(self, group: str, values: dict[str, float], step: int) -> None:
        import tensorflow as tf  # here, for random search and evolution do without

        from nasnet_tf.training.disk import writing

        with writing(f"TensorBoard log in {self._workdir / FOLDER}"):
            self._writer = self._writer or tf.summary.create_file_writer(str(self._workdir / FOLDER))
            with self._writer.as_default():
                for name, value in values.items():
                    tf.summary.scalar(f"{group}/{name}", value, step=step)
            self._writer.flush()

    def close(self) -> None:
        """Closes the files."""
        try:
            with naming(self._path):  # what could not be written is tried again
                self._file.close()
        finally:
            if self._writer is not None:
                self._writer.close()
