"""A training that is ready to run, and what it would do."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.models.costs import count_costs
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.task import Data
from nasnet_tf.training.timetable import Timetable


@dataclasses.dataclass(frozen=True)
class BoundTraining:
    """Call it with a work folder to train.

    Attributes:
      build: (num_classes, image_size) -> the network.
      run: (work folder) -> model and evaluation.
    """

    build: Callable[[int, int], keras.Model]
    data: Data
    training: TrainingConfig
    run: Callable[[pathlib.Path], tuple[keras.Model, Any]]

    def __call__(self, workdir: pathlib.Path) -> tuple[keras.Model, Any]:
        return self.run(workdir)

    def plan(self, workdir: pathlib.Path) -> str:
        """Builds the network, counts, reads one batch, and says what a training would do; writes nothing."""
        data, training = self.data, self.training
        model = self.build(data.num_classes, data.image_size)
        costs = count_costs(model, (data.image_size, data.image_size))
        batch = next(iter(data.train(training.batch_size, training.seed, 0, (0, 1))))
        shapes = ", ".join(f"{part.dtype.name} {list(part.shape)}" for part in tf.nest.flatten(batch))
        timetable = Timetable(training, data.num_train_examples)
        watched = "never evaluated"
        if training.evaluation_split is not None:
            times = sum(map(timetable.is_evaluation, range(1, timetable.total + 1)))
            watched = f"evaluated {times} times on {data.num_examples(training.evaluation_split)} examples, {training.evaluation_split}"
        begun = "would go on in" if any(workdir.glob("checkpoints/*.index")) else "would begin"
        return "\n".join(
            [
                f"network: {costs.trainable_parameters:,} parameters; {costs.mult_adds:,} multiply-adds an image",
                f"data: {data.num_classes} classes; {data.num_train_examples} examples to train on",
                f"a batch, read: {shapes}",
                f"training: {training.epochs:g} epochs of {timetable.steps_per_epoch:g} steps, {timetable.total} in all; {watched}",
                f"dry run: {begun} {workdir}; nothing was written",
            ]
        )
