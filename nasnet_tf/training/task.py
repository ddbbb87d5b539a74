"""What a training is of: the losses of a batch, how the result is measured, what decides which checkpoint is best.

The loop, its steps and its checkpoints know these protocols only. `classification.py` is the first task.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError


class Data(Protocol):
    """Where batches come from; their structure is between it and its task."""

    num_classes: int
    image_size: int
    num_train_examples: int

    def num_examples(self, split: str) -> int:
        """Number of examples of "train", "validation" or "test"; InputError where there is no such split."""

    def train(self, batch_size: int, seed: int, start_step: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """Training batches without end, as ImageData.train describes them."""

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> list[str]:
        """The names of the examples of a training batch that its task counted as corrupt."""

    def diagnose(self, split: str) -> InputError | None:
        """What is wrong with the first bad example of a split; None where nothing is."""

    def description(self) -> dict:
        """What the model was trained with, JSON-ready: enough for the doors to evaluate, export and use it."""


class Evaluator(Protocol):
    """Measures one model as often as wanted.

    Attributes:
      images: after a call, what is worth a look: {name: images [batch, height, width, 3]} for TensorBoard.
    """

    images: Mapping[str, tf.Tensor]

    def on_split(self, data: Data, split: str, batch_size: int) -> Any:
        """Returns a dataclass of numbers that prints as one line, the same on all workers."""


class Task(Protocol):
    """Attributes:
    kind: its name in work folders and exports, by which the doors know what to do with them (nasnet_tf/kinds.py).
    names: of the numbers that a step says of itself. "loss" is among them; so is "corrupt" where examples may be left out.
    shown: those of them that stand in the line of progress; the others are logged where they are not 0.
    """

    kind: str
    names: Sequence[str]
    shown: Sequence[str]

    def losses(self, model: keras.Model, batch: Any) -> Mapping[str, tf.Tensor]:
        """The numbers of a step, float32 [] each, by one replica on its part of the batch.

        They are summed over replicas: means are over the global batch. "loss" is what is differentiated, without weight decay.
        """

    def samples(self, batch: Any) -> Mapping[str, tf.Tensor]:
        """Training images as the model sees them: {name: images [batch, height, width, 3]} for TensorBoard."""

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Evaluator:
        """One for the whole training."""

    def score(self, evaluation: Any) -> float:
        """The larger, the better: of all evaluations' checkpoints the one of the highest score is kept as best."""
