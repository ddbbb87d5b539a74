"""A search that is ready to run, and descriptions of what a search or a training would do, for --dry_run."""

import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import build_network
from nasnet_tf.nas.children.evaluator import ChildTraining
from nasnet_tf.nas.trials.journal import NAME
from nasnet_tf.nas.trials.trial import Trial
from nasnet_tf.training.class_weights import resolved
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.task import Data
from nasnet_tf.training.timetable import Timetable

Retrained = tuple[Trial, dict, pathlib.Path]


@dataclasses.dataclass(frozen=True)
class SearchJob:
    """A search that is ready to run: call it with a work folder.

    Attributes:
      space: the search space.
      evaluations: how children are trained, by purpose: in the search and in its retraining.
      search: function (work folder) that runs the search and returns its trials.
      retrain: function (work folder, trials) that runs the retraining and returns the winner, its test result and the folder of the
        retraining; None if nothing is to be retrained.
    """

    space: SearchSpace
    evaluations: Mapping[str, ChildTraining]
    search: Callable[[pathlib.Path], list[Trial]]
    retrain: Callable[[pathlib.Path, list[Trial]], Retrained] | None

    def __call__(self, workdir: pathlib.Path) -> tuple[list[Trial], Retrained | None]:
        """Runs the search and the retraining; returns the results of `search` and of `retrain`, the latter None without retraining."""
        trials = self.search(workdir)
        return trials, self.retrain(workdir, trials) if self.retrain else None

    def plan(self, workdir: pathlib.Path) -> str:
        """Describes what the search would do, with a random architecture as an example; writes nothing. See `TrainConfig.plan`."""
        genotype = self.space.decode(self.space.sample(random.Random(0)))
        lines = []
        for name, evaluation in self.evaluations.items():
            lines.append(f"{name}; for example, one drawn at random:")
            build = functools.partial(build_network, genotype, evaluation.network)
            lines += [f"  {line}" for line in described(build, evaluation.adapted_data, evaluation.training)]
        return "\n".join([*lines, ending((workdir / NAME).is_file(), workdir)])


def described(build: Callable[[int, int], keras.Model], data: Data, training: TrainingConfig) -> list[str]:
    """Returns lines that describe a network, the data and a training.

    Args:
      build: function (number of classes, image size) that returns the network.
      data: the data; one batch is read.
      training: the training.
    """
    training.check_batch_size(data.num_train_examples)
    model = build(data.num_classes, data.image_size)
    costs = count_costs(model, (data.image_size, data.image_size))
    batch = next(iter(data.train(training.batch_size, training.seed, 0, (0, 1))))
    shapes = ", ".join(f"{part.dtype.name} {list(part.shape)}" for part in tf.nest.flatten(batch))
    timetable = Timetable(training, data.num_train_examples)
    weights = resolved(training, data).class_weights if training.class_weights is not None else {}
    weighted = [f"class weights: {', '.join(f'{name} {weight:.4g}' for name, weight in weights.items())}"] if weights else []
    watched = "never evaluated"
    if training.evaluation_split is not None:
        times = sum(map(timetable.is_evaluation, range(1, timetable.total + 1)))
        watched = f"evaluated {times} times on the {data.num_examples(training.evaluation_split)} {training.evaluation_split} examples"
    return [
        f"network: {costs.trainable_parameters:,} parameters; {costs.mult_adds:,} multiply-adds per image",
        f"data: {data.num_classes} classes; {data.num_train_examples} training examples",
        f"first batch: {shapes}",
        *weighted,
        f"training: {training.epochs:g} epochs of {timetable.steps_per_epoch:g} steps, {timetable.total} in total; {watched}",
    ]


def ending(is_begun: bool, workdir: pathlib.Path) -> str:
    """Returns the last line of a description, which says whether the work would begin or resume."""
    return f"dry run: would {'resume' if is_begun else 'begin'} {workdir}; nothing was written"
