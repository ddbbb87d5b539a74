"""Logs the diagnostics of a strategy after each update, as rows of metrics.jsonl in the search's folder and as TensorBoard scalars.

  {"kind": "update", "step": 7, "trials": 140, "baseline": 0.91, "loss": ..., "entropy": ..., "clip_fraction": ..., "kl": ...}

`step` is the number of updates and `trials` the number of rewards so far; the rest is the strategy's `diagnostics`. Like a snapshot, the
file can be computed from the journal: the replay after a kill writes the missing rows again.

TensorBoard also gets the scalars `trial/reward`, `trial/best` and `trial/seconds` of each trial, over the number of the trial.
"""

import json
import pathlib

from nasnet_tf.base.files import naming, read_json_lines, replace_file

NAME = "metrics.jsonl"
FOLDER = "logs"  # subfolder with TensorBoard's files


def read_updates(path: pathlib.Path) -> list[dict]:
    """Reads the rows of a file; see `files.read_json_lines`."""
    return read_json_lines(path, ("kind", "step", "trials"))


def _line(row: dict) -> str:
    return json.dumps(row) + "\n"


class UpdateLog:
    """Appends rows to the log, each update once.

    Args:
      workdir: work folder of the search.
      is_new: whether the search has just begun; rows of an earlier search are then removed.
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
        """Writes a row if there was an update since the last row.

        Args:
          diagnostics: the strategy's diagnostics; nothing is written if they lack "updates".
          trials: number of rewards so far.
        """
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
        """Writes the scalars of a trial to TensorBoard's files."""
        self._write_scalars("trial", values, number)

    def _write_scalars(self, group: str, values: dict[str, float], step: int) -> None:
        import tensorflow as tf  # imported here because random search and evolution do not need it

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
            with naming(self._path):  # closing retries writes that failed before, and may fail again
                self._file.close()
        finally:
            if self._writer is not None:
                self._writer.close()
