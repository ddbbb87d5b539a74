"""Saves and restores the checkpoints of a training.

A training writes these files to its work folder:

model.json                the network, as Keras describes it: enough to build it again
data.json                 kind of task, classes and preprocessing: enough to evaluate and use the network
training.json             the configuration values that must not change
checkpoints/last-<step>.* everything needed to resume; the newest two are kept
checkpoints/best-<step>.* the checkpoint of the best evaluation so far; shares its data by a hard link if it is also one of the newest
metrics.jsonl, logs/      losses and accuracies, as rows and for TensorBoard
"""

import math
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.training.disk import writing
from nasnet_tf.training.patience import Patience
from nasnet_tf.training.state import Shadow, TrainingState
from nasnet_tf.training.variables import UNREADABLE, load_named_weights, named_counters, named_weights, open_checkpoint


class Checkpoints:
    """Writes the checkpoints of one training in the background. Create it after the training's variables, in the scope of the strategy.

    Attributes:
      step: step of the last checkpoint that was restored or saved.
      window: sums for the next row of metrics at that step; see `Window.sums` in metrics_log.

    Args:
      workdir: work folder of the training.
      state: variables to save and restore.
      window: initial value of `window`.
      patience: saved and restored with the rest.
    """

    def __init__(self, workdir: pathlib.Path, state: TrainingState, window: np.ndarray, patience: Patience):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.window = tf.Variable(window, dtype=tf.float64, trainable=False, name="window")
        self._best_score = tf.Variable(-math.inf, trainable=False, name="best_score")
        self._patience = patience
        self._patience_state = tf.Variable(patience.state, dtype=tf.float64, trainable=False, name="patience")
        parts = {"average": state.average, "loss_scale": state.loss_scale}
        self._parts = {
            "weights": named_weights(state.model),
            "counters": named_counters(state.model),
            "optimizer": state.optimizer,
            "step": self.step,
            "best_accuracy": self._best_score,  # existing checkpoints have this name
            "window": self.window,
            **{name: part for name, part in parts.items() if part is not None},
        }
        self._checkpoint = tf.train.Checkpoint(**self._parts, patience=self._patience_state)
        self._folder = workdir / "checkpoints"
        self._shadow: Shadow | None = None
        self._writer = ThreadPoolExecutor(1)
        self._under_way: Future | None = None

    def restore(self) -> int:
        """Restores the newest readable checkpoint and returns its step; 0 if there are no checkpoints."""
        candidates = [str(self._folder / f"last-{step}") for step in reversed(_steps(self._folder, "last"))]
        for path in candidates:
            try:
                has_patience = any(name.startswith("patience/") for name in open_checkpoint(path).get_variable_to_shape_map())
                checkpoint = self._checkpoint if has_patience else tf.train.Checkpoint(**self._parts)  # older versions saved no patience
                checkpoint.read(path).assert_existing_objects_matched()
                self._patience.restore(self._patience_state.numpy())
                return int(self.step.numpy())
            except (*UNREADABLE, AssertionError) as error:
                print(f"warning: checkpoint {path} cannot be read ({reason(error)}); trying the previous one", file=sys.stderr)
        if candidates:
            raise InputError(
                f"{self._folder}: none of the checkpoints can be read: {', '.join(candidates)}; "
                "restore one of them from a backup, or use another work folder"
            )
        return 0

    def save(self, step: int, window: Sequence[float], score: float | None = None) -> None:
        """Starts saving a checkpoint in the background, with the values at the time of this call; the training may continue.

        Args:
          step: number of steps done.
          window: value for `window`.
          score: score of an evaluation at this step; None if there was none. If no earlier score was higher, this also becomes the best
            checkpoint: between equal scores, the later one has trained longer.

        Raises:
          OSError: the previous checkpoint could not be written, for example because the disk is full. Older checkpoints are intact.
        """
        self.wait()
        is_best = score is not None and np.float32(score) >= self._best_score.numpy()  # the variable is float32
        if is_best:
            self._best_score.assign(score)
        self.step.assign(step)
        self.window.assign(window)
        self._patience_state.assign(self._patience.state)
        if self._shadow is None:
            self._shadow = Shadow(self._checkpoint)
        else:
            self._shadow.update()
        self._under_way = self._writer.submit(self._write, step, is_best)

    def wait(self) -> None:
        """Waits until the last checkpoint is on disk; raises OSError if it could not be written."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def close(self) -> None:
        """Waits like `wait`, and stops the thread that writes."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def _write(self, step: int, is_best: bool) -> None:
        # The best checkpoint is written first. In the other order, a kill in between would leave a last checkpoint that already has the new
        # best score, so the best checkpoint of this step would never be written.
        first = "best" if is_best else "last"
        with writing(f"{first} checkpoint of step {step} in {self._folder}"):
            self._shadow.checkpoint.write(str(self._folder / f"{first}-{step}"))
            if is_best:
                _link(self._folder, f"best-{step}", f"last-{step}")
                self._clean_up("best", step, keep=1)
            self._clean_up("last", step, keep=2)

    def _clean_up(self, kind: str, step: int, keep: int) -> None:
        """Removes all checkpoints of a kind except the newest `keep` up to a step, and files that a kill left half written."""
        kept = [other for other in _steps(self._folder, kind) if other <= step][-keep:]
        for path in self._folder.iterdir():
            match = re.fullmatch(rf"{kind}-(\d+)(\.(index|data|temp|link).*|_temp)", path.name)
            if match and int(match[1]) not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _link(folder: pathlib.Path, old: str, new: str) -> None:
    """Gives a checkpoint a second name by hard links, or by copies if the disk has no links. The index comes last; see `_steps`."""
    for path in [*folder.glob(f"{old}.data-*"), folder / f"{old}.index"]:
        name = path.name.replace(old, new, 1)
        temporary = folder / f"{new}.link"
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copy2(path, temporary)
        temporary.replace(folder / name)


def _steps(folder: pathlib.Path, kind: str) -> list[int]:
    """Returns the steps of all checkpoints of a kind, ascending. TensorFlow writes the index last, so only a complete one has an index."""
    matches = [re.fullmatch(rf"{kind}-(\d+)\.index", path.name) for path in folder.glob(f"{kind}-*.index")]
    return sorted(int(match[1]) for match in matches if match)


def is_best_last(workdir: pathlib.Path) -> bool:
    """Returns whether the best checkpoint of a training is also its last; True if there is no best one."""
    best, last = (_steps(workdir / "checkpoints", kind)[-1:] for kind in ("best", "last"))
    return best in ([], last)


def load_trained(
    workdir: pathlib.Path, model: keras.Model, which: str = "best", use_ema: bool = True, without: Collection[str] = ()
) -> int:
    """Sets the model's weights from a training's checkpoint; returns the step of the checkpoint.

    Args:
      workdir: work folder of the training.
      model: a model with the weights of the training's network.
      which: "best" or "last". A training without evaluations has no best checkpoint, and its last one is used.
      use_ema: whether to load the moving averages of the weights, if the training kept them.
      without: names of layers that keep their weights.

    Raises:
      InputError: there is no checkpoint, it cannot be read, or it belongs to another network.
    """
    folder = workdir / "checkpoints"
    which = which if _steps(folder, which) else "last"
    steps = _steps(folder, which)
    if not steps:
        raise InputError(f"{workdir}: holds no checkpoint; expected checkpoints/{which}-<step>.index there")
    path = str(workdir / "checkpoints" / f"{which}-{steps[-1]}")
    has_averages = any(name.startswith("average/") for name in open_checkpoint(path).get_variable_to_shape_map())
    load_named_weights(path, model, "average/averages" if use_ema and has_averages else "weights", without)
    return steps[-1]
