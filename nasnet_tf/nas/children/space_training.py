"""Trains all children of a search space on one traced network, which takes the architecture as an input.

Each child has its own weights, or all children share weights. A step computes the same as nasnet_tf.training does with the Momentum
optimizer: cross-entropy, weight decay of kernels, gradient clipping and momentum. A child whose images fit into memory makes two calls for
each of its evaluations: one takes all steps before it, and one evaluates. So the device does not wait for Python after each step.
"""

import copy
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Share, check_fields
from nasnet_tf.data import ImageData
from nasnet_tf.genotype import SearchSpace, parse_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.space.costs import count_mult_adds
from nasnet_tf.models.space.network import SpaceNetwork
from nasnet_tf.models.space.plan import Plan
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.children.protocol import Evaluator
from nasnet_tf.training import class_weights
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.corruption import CorruptImages, naming_bad_data
from nasnet_tf.training.losses import classification_loss, is_first
from nasnet_tf.training.patience import Patience
from nasnet_tf.training.schedules import Schedule

MAX_KEPT_BYTES = 2**29  # batches are kept in memory if their images, over a whole training or evaluation, need at most this
_MAX_STACK_BYTES = 2**26  # maximum for the images of one call, if batches are not kept
# Options of TrainingConfig that this network does not support, with the only allowed value.
_PLAIN = {"ema_decay": None, "frozen_epochs": 0.0, "replica_batch_size": None}

# Several batches of equal size in a row: images float32 [batches, batch, side, side, 3], labels int32 [batches, batch], and for evaluations
# the weights of the examples, float32 [batches, batch].
Stack = tuple[tf.Tensor, ...]


class SpaceTraining:
    """Training steps and evaluations for all architectures of a space; traced at the first use.

    Args:
      space: search space of the architectures.
      network: how cells are stacked.
      data: the data to train and validate on.
      training: training of a child. Weight averaging, frozen layers and replica batch sizes are not supported.
      learning_rate: learning rate schedule over the epochs of `training`.
      momentum: momentum of the update, in [0, 1).

    Raises:
      InputError: the configuration has an option that is not supported here, or a batch is larger than the training data.
    """

    def __init__(
        self,
        space: SearchSpace,
        network: NetworkConfig,
        data: ImageData,
        training: TrainingConfig,
        learning_rate: Schedule,
        momentum: float,
    ):
        for name, value in _PLAIN.items():
            if getattr(training, name) != value:
                raise InputError(f"SpaceTraining: expected TrainingConfig.{name} to be {value}, got {getattr(training, name)!r}")
        training.check_batch_size(data.num_train_examples)
        self._space, self.data, self.training, self._momentum, self._learning_rate = space, data, training, momentum, learning_rate
        self._class_weights = class_weights.by_label(training, data)
        self.steps_per_epoch = data.num_train_examples / training.batch_size
        self.total_steps = max(1, round(training.epochs * self.steps_per_epoch))
        self.network = SpaceNetwork(space, network, data.num_classes, data.image_size)
        self._kept: dict[str, list[Stack]] = {}
        vector, rows = tf.TensorSpec([None]), [None, None]
        batch = [tf.TensorSpec([None, data.image_size, data.image_size, 3]), tf.TensorSpec([None], tf.int32)]
        stack = [tf.TensorSpec([*rows, data.image_size, data.image_size, 3]), tf.TensorSpec(rows, tf.int32)]
        traced = functools.partial(tf.function, autograph=False)
        self.step = traced(self._step, input_signature=[*batch, tf.TensorSpec([]), vector, vector, *self.network.signature])
        self.steps = traced(self._steps, input_signature=[*stack, vector, vector, vector, *self.network.signature])
        signature = [*stack, tf.TensorSpec(rows), *self.network.signature]
        self._counts = {own: traced(functools.partial(self._count, own), input_signature=signature) for own in (False, True)}

    def with_seed(self, seed: int) -> Self:
        """Returns a copy with another seed, so with other initial weights and another order of images; both use the same trace."""
        other = copy.copy(self)
        other.training, other._kept = dataclasses.replace(self.training, seed=seed), {}
        return other

    def trace(self) -> None:
        """Traces the steps and the evaluation, by running each once on one image."""
        space, size = self._space, self.data.image_size
        plan = self.network.plan(space.decode([0] * len(space.sizes)))
        images, weights, statistics = np.zeros([1, 1, size, size, 3], np.float32), plan.fresh_weights(0), plan.fresh_statistics()
        labels, zeros = np.zeros([1, 1], np.int32), np.zeros_like(weights)
        self.steps(images, labels, np.zeros(1, np.float32), zeros, zeros, weights, statistics, *plan.arrays)
        self.accuracy([(images, labels, np.ones([1, 1], np.float32))], weights, statistics, plan, own_statistics=False)

    @property
    def evaluation_steps(self) -> int:
        """Number of steps between evaluations."""
        return max(1, round(self.training.evaluate_every_epochs * self.steps_per_epoch))

    def rate(self, step: int) -> np.float32:
        """Returns the learning rate of a step, counted from 0."""
        return np.float32(self._learning_rate(step / self.steps_per_epoch, self.training.epochs, self.training.batch_size))

    def _step(self, images, labels, rate, velocity, decayed, weights, statistics, *plan):
        """Returns the new weights, moving statistics and velocity, and the loss. Vectors are float32, in the order of the plan."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, statistics = self.network(images, weights, statistics, plan, training=True)
            loss = tf.reduce_mean(classification_loss(labels, logits, self.training.label_smoothing, self._class_weights))
        gradient = tape.gradient(loss, weights) + self.training.weight_decay * decayed * weights
        if self.training.gradient_clip_norm is not None:
            gradient = tf.clip_by_norm(gradient, self.training.gradient_clip_norm)
        velocity = self._momentum * velocity + gradient
        return weights - rate * velocity, statistics, velocity, loss

    def _steps(self, images, labels, rates, velocity, decayed, weights, statistics, *plan):
        """Takes a step with each batch of a stack, and ends after a loss that is not finite; returns as `_step`, with the losses so far."""
        count, vector = tf.shape(rates)[0], tf.TensorShape([None])

        def take(number, _, losses, weights, statistics, velocity):
            batch = images[number], labels[number], rates[number]
            weights, statistics, velocity, loss = self._step(*batch, velocity, decayed, weights, statistics, *plan)
            return number + 1, loss, losses.write(number, loss), weights, statistics, velocity

        number, _, losses, *state = tf.while_loop(
            lambda number, loss, *_: (number < count) & tf.math.is_finite(loss),
            take,
            (0, 0.0, tf.TensorArray(tf.float32, count, element_shape=[]), weights, statistics, velocity),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), tf.TensorShape(None), vector, vector, vector),
            parallel_iterations=1,
        )
        return *state, losses.stack()[:number]

    def _count(self, own_statistics, images, labels, counts, weights, statistics, *plan):
        """Returns how many examples of a stack are classified correctly, and how many there are, float32 [2]."""

        def right(batch):
            logits, _ = self.network(batch[0], weights, statistics, plan, training=own_statistics)
            return tf.reduce_sum(tf.cast(is_first(batch[1], logits), tf.float32) * batch[2])

        found = tf.map_fn(right, (images, labels, counts), fn_output_signature=tf.float32, parallel_iterations=1)
        return tf.stack([tf.reduce_sum(found), tf.reduce_sum(counts)])

    def accuracy(self, stacks: Iterable[Stack], weights, statistics, plan: Plan, own_statistics: bool) -> float:
        """Returns the accuracy of an architecture, in [0, 1].

        Args:
          stacks: stacks of images, labels, and weights of the examples.
          weights: float32 vector in the order of the plan.
          statistics: moving statistics, float32 vector in the order of the plan.
          plan: the plan of the architecture.
          own_statistics: whether batch normalization uses the statistics of each batch instead of the moving ones.
        """
        counts = [self._counts[own_statistics](*stack, weights, statistics, *plan.arrays) for stack in stacks]
        right, examples = np.sum(counts, axis=0, dtype=np.float64)
        return float(right / examples)

    @property
    def training_stacks(self) -> Iterable[Stack]:
        """The training batches of a child. An evaluation is due only after the last batch of a stack.

        All children get the same ones, because they have the same seed.
        """
        every = self.evaluation_steps
        lengths = [min(every, self.total_steps - start) for start in range(0, self.total_steps, every)]
        return self._kept_if_small("training", self.read_training(0, self.total_steps), lengths)

    @property
    def validation_stacks(self) -> Iterable[Stack]:
        """All held-out examples. Raises InputError if one of them cannot be decoded."""
        num_batches = math.ceil(self.data.num_examples("validation") / self.training.batch_size)
        return self._kept_if_small("validation", self._read_validation(), [num_batches])

    def read_training(self, start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the training batches of these steps.

        Raises:
          InputError: more than TrainingConfig.max_corrupt_images images cannot be decoded. Fewer are left out, with a warning.
        """
        batch_size, seed = self.training.batch_size, self.training.seed
        corrupt = CorruptImages(self.data, self.training.max_corrupt_images, None, is_chief=True)
        with naming_bad_data(self.data, "train"):
            for step, (images, labels) in enumerate(self.data.train(batch_size, seed, start).take(stop - start).as_numpy_iterator(), start):
                if np.any(labels < 0):
                    corrupt.note(batch_size, seed, step)
                yield images, labels

    def _read_validation(self) -> Iterator[tuple]:
        with naming_bad_data(self.data, "validation"):
            yield from self.data.evaluation("validation", self.training.batch_size).as_numpy_iterator()

    def _kept_if_small(self, name: str, batches: Iterator[tuple], lengths: list[int]) -> Iterable[Stack]:
        """Returns stacks of these numbers of batches, and keeps them for the next call if they are small; those of children usually are.

        Larger data are read anew for each child, in shorter stacks.
        """
        if name in self._kept:
            return self._kept[name]
        batch_bytes = self.training.batch_size * self.data.image_size**2 * 3 * 4
        if sum(lengths) * batch_bytes <= MAX_KEPT_BYTES:
            return self._kept.setdefault(name, list(_stacks(batches, lengths)))
        most = max(1, _MAX_STACK_BYTES // batch_bytes)
        return _stacks(batches, [min(most, length - start) for length in lengths for start in range(0, length, most)])


def _stacks(batches: Iterator[tuple], lengths: Iterable[int]) -> Iterator[Stack]:
    for length in lengths:
        yield tuple(tf.stack(column) for column in zip(*itertools.islice(batches, length), strict=True))


@dataclasses.dataclass(eq=False)
class SpaceEvaluator(Evaluator):
    """Base class of evaluators that run all architectures on one traced network. The first architecture of a process waits for the trace.

    Attributes:
      space: search space of the architectures.
      network: how the cells of a child are stacked.
      data: the data of a child.
      training: training of a child. With shared weights, its epochs are the total for all architectures.
      learning_rate: learning rate schedule of a child.
      momentum: momentum of the update, in [0, 1).
    """

    space: SearchSpace
    network: NetworkConfig
    data: ImageData
    training: TrainingConfig
    learning_rate: Schedule
    momentum: Share = 0.9

    def __post_init__(self):
        check_fields(self)

    def with_seed(self, seed: int) -> Self:
        """Returns an evaluator whose trainings have another seed; both use the same trace."""
        other = dataclasses.replace(self, training=dataclasses.replace(self.training, seed=seed))
        other._steps = self._steps.with_seed(seed)
        return other

    def trace(self) -> None:
        """Traces the network now, instead of when the first architecture is scored."""
        self._steps.trace()

    @functools.cached_property
    def _steps(self) -> SpaceTraining:
        return SpaceTraining(self.space, self.network, self.data, self.training, self.learning_rate, self.momentum)


class SpaceChildren(SpaceEvaluator):
    """Trains each child from scratch, like `nasnet_tf.nas.children.evaluator.ChildTraining`, but all of them on one traced network.

    Both compute the same steps from the same weights. The initial weights here are different draws from the same distribution.
    """

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        """Trains and scores a child; see `Evaluator`. Raises InputError if early stopping is requested, which is not supported here."""
        if request.bars:
            raise InputError("SpaceChildren: expected no early stopping, which it does not support; remove EarlyStopping from the recipe")
        steps = self._steps
        genotype = parse_genotype(genotype_text)
        plan = steps.network.plan(genotype)
        weights, statistics = plan.fresh_weights(steps.training.seed), plan.fresh_statistics()
        velocity, decayed = np.zeros_like(weights), plan.is_decayed
        losses, curve, patience = [], [], Patience(steps.training.patience)
        for images, labels in steps.training_stacks:
            rates = [steps.rate(step) for step in range(len(losses), len(losses) + len(images))]
            weights, statistics, velocity, found = steps.steps(
                images, labels, np.float32(rates), velocity, decayed, weights, statistics, *plan.arrays
            )
            losses += found.numpy().tolist()
            if not math.isfinite(losses[-1]):
                return {"infeasible": f"the loss is {losses[-1]} at step {len(losses)}"}
            if len(losses) % steps.evaluation_steps == 0 or len(losses) == steps.total_steps:
                curve.append(round(steps.accuracy(steps.validation_stacks, weights, statistics, plan, own_statistics=False), 6))
                patience.note(curve[-1], len(losses))
                if patience.is_over:
                    break
        costs = {"parameters": int(plan.sizes[:, 0].sum()), "mult_adds": count_mult_adds(steps.network, genotype)}
        epochs = round(len(losses) / steps.steps_per_epoch, 3) if patience.is_over else steps.training.epochs
        metrics = {"curve": curve, "epochs": epochs, **costs}
        return {
            "reward": curve[-1],
            "metrics": {**metrics, "loss": float(np.mean(losses[-steps.evaluation_steps :])), "num_classes": steps.data.num_classes},
        }
