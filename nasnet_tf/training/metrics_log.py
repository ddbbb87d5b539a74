"""Losses and accuracies over time: rows of metrics.jsonl, and TensorBoard scalars.

For TensorBoard each kind of row is a run of its own, logs/train and logs/evaluation, and a value has the same tag in both, so that what was
trained with and what was measured lie over each other in one plot.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.base.files import read_json_lines
from nasnet_tf.training.disk import writing


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """The rows of a training's metrics.jsonl, as files.read_json_lines reads them."""
    return read_json_lines(workdir / "metrics.jsonl", ("kind", "step", "epoch"))


def read_stopped(workdir: pathlib.Path) -> str | None:
    """Returns why a training stopped before its last epoch; None where it did not, or trains on."""
    rows = read_metrics(workdir) if (workdir / "metrics.jsonl").is_file() else []
    return rows[-1].get("stopped") if rows else None


class MetricsLog:
    """Appends rows. Rows of steps after start_step, which a resumed training will do again, are removed first."""

    def __init__(self, workdir: pathlib.Path, start_step: int):
        path = workdir / "metrics.jsonl"
        rows = [row for row in read_metrics(workdir) if row["step"] <= start_step] if path.exists() and start_step else []
        temporary = path.with_suffix(".tmp")
        self._rows = f"rows of {path}"
        with writing(self._rows):
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
            temporary.rename(path)
        self._file = path.open("a")
        self._logs = workdir / "logs"
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._events = f"TensorBoard log in {self._logs}"

    def write(self, kind: str, step: int, epoch: float, **values: float | str) -> None:
        """kind: "train" or "evaluation". Numbers go to TensorBoard too, to the run of this kind."""
        with writing(self._rows):
            self._file.write(json.dumps({"kind": kind, "step": step, "epoch": epoch, **values}) + "\n")
            self._file.flush()
        with writing(self._events), self._run(kind).as_default():
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    tf.summary.scalar(name, value, step=step)
            self._run(kind).flush()

    def write_images(self, kind: str, name: str, images: tf.Tensor, step: int) -> None:
        """Images for TensorBoard: float32 [batch, height, width, 3] of any range, stretched to [0, 1] one by one."""
        least, most = (reduce(images, [1, 2, 3], keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
        with writing(self._events), self._run(kind).as_default():
            tf.summary.image(name, (images - least) / tf.maximum(most - least, 1e-6), step=step, max_outputs=images.shape[0])

    def close(self) -> None:
        """Closes all files, also where one cannot be written."""
        with contextlib.ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writing(self._events))
                stack.callback(writer.close)
            stack.enter_context(writing(self._rows))
            stack.callback(self._file.close)  # what could not be written is tried again

    def _run(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            self._writers[kind] = tf.summary.create_file_writer(str(self._logs / kind))
        return self._writers[kind]


class Window:
    """Sums of the steps' numbers. Results stay on the device until they are read, so that steps do not wait for each other.

    Attributes:
      sums: float64 [len(names) + 1], the last of them the number of steps; saved with checkpoints, for a resumed training to write the
        very same rows.
      unread: how many steps' results were not read yet.
    """

    def __init__(self, names: Sequence[str]):
        self._names = tuple(names)
        self._results: list[tf.Tensor] = []
        self.unread = 0
        self.clear()

    def clear(self) -> None:
        """Begins a new row."""
        self.sums = np.zeros(len(self._names) + 1)

    def add(self, results: tf.Tensor, steps: int) -> None:
        """Takes in what so many steps returned: float32 [steps, len(names)]."""
        self._results.append(results)
        self.unread += steps

    def read(self) -> Iterator[dict[str, float]]:
        """The numbers of each step that was not read yet, by name."""
        results, self._results, self.unread = self._results, [], 0
        for values in (row for rows in results for row in rows.numpy()):
            yield self._named(values)
            self.sums += [*values, 1.0]

    def means(self) -> dict[str, float]:
        """Of the steps that were read since the last `clear`."""
        return self._named(self.sums[:-1] / self.sums[-1])

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return {name: float(value) for name, value in zip(self._names, values, strict=True)}
