"""Logs losses and accuracies over time, as rows of metrics.jsonl and as TensorBoard scalars.

In TensorBoard, each kind of row is a run of its own: logs/train and logs/evaluation. A value has the same tag in both runs, so TensorBoard
draws the curves of training and evaluation into one plot.
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
    """Returns the rows of metrics.jsonl in a training's work folder; see files.read_json_lines."""
    return read_json_lines(workdir / "metrics.jsonl", ("kind", "step", "epoch"))


def read_stopped(workdir: pathlib.Path) -> str | None:
    """Returns why a training stopped before its last epoch; None if it did not stop early."""
    rows = read_metrics(workdir) if (workdir / "metrics.jsonl").is_file() else []
    return rows[-1].get("stopped") if rows else None


class MetricsLog:
    """Appends rows to the logs of a training.

    Args:
      workdir: work folder of the training.
      start_step: step that the training starts from. Rows of later steps are removed first, because a resumed training repeats these steps.
    """

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
        """Writes a row. Its numbers also go to TensorBoard.

        Args:
          kind: "train" or "evaluation".
          step: number of steps done.
          epoch: number of epochs done.
          **values: further values of the row, by name.
        """
        with writing(self._rows):
            self._file.write(json.dumps({"kind": kind, "step": step, "epoch": epoch, **values}) + "\n")
            self._file.flush()
        with writing(self._events), self._run(kind).as_default():
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    tf.summary.scalar(name, value, step=step)
            self._run(kind).flush()

    def write_images(self, kind: str, name: str, images: tf.Tensor, step: int) -> None:
        """Writes images to TensorBoard: float32 [batch, height, width, 3] in any range. Each is stretched to [0, 1] by itself."""
        least, most = (reduce(images, [1, 2, 3], keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
        with writing(self._events), self._run(kind).as_default():
            tf.summary.image(name, (images - least) / tf.maximum(most - least, 1e-6), step=step, max_outputs=images.shape[0])

    def close(self) -> None:
        """Closes all files, even if one of them cannot be written."""
        with contextlib.ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writing(self._events))
                stack.callback(writer.close)
            stack.enter_context(writing(self._rows))
            stack.callback(self._file.close)  # tries again to write what failed before

    def _run(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            self._writers[kind] = tf.summary.create_file_writer(str(self._logs / kind))
        return self._writers[kind]


class Window:
    """Sums the metrics of steps for a row. Results stay on the device until they are read, so that steps do not wait for each other.

    Attributes:
      sums: float64 [len(names) + 1]; the last entry is the number of steps. It is saved with checkpoints, so that a resumed training writes
        exactly the same rows.
      unread: number of steps whose results have not been read yet.

    Args:
      names: names of the metrics of a step.
    """

    def __init__(self, names: Sequence[str]):
        self._names = tuple(names)
        self._results: list[tf.Tensor] = []
        self.unread = 0
        self.clear()

    def clear(self) -> None:
        """Starts a new row."""
        self.sums = np.zeros(len(self._names) + 1)

    def add(self, results: tf.Tensor, steps: int) -> None:
        """Adds the results of steps, float32 [steps, len(names)], without reading them.

        Args:
          results: the results.
          steps: number of steps.
        """
        self._results.append(results)
        self.unread += steps

    def read(self) -> Iterator[dict[str, float]]:
        """Yields the metrics of each step that has not been read yet, by name, and adds them to the sums."""
        results, self._results, self.unread = self._results, [], 0
        for values in (row for rows in results for row in rows.numpy()):
            yield self._named(values)
            self.sums += [*values, 1.0]

    def means(self) -> dict[str, float]:
        """Returns the mean metrics of the steps that were read since the last `clear`, by name."""
        return self._named(self.sums[:-1] / self.sums[-1])

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return {name: float(value) for name, value in zip(self._names, values, strict=True)}
