"""The gradients of a loss, by one replica for its part of the batch: all at once, or a few examples at a time where memory is short."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.normalization import BatchNorm
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.task import Task

# (batch, loss scale) -> (the task's numbers float32 [names], for each group of variables their gradients stacked)
Gradients = Callable[[Any, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]


def same_shapes(variables: Sequence[keras.Variable]) -> list[list[int]]:
    """The variables' numbers, those of one shape and dtype together.

    Hundreds of variables have a few dozen shapes: those of one shape are handled in one op, or tracing would take minutes for what a short
    training does in seconds.
    """
    groups = {}
    for index, variable in enumerate(variables):
        groups.setdefault((tuple(variable.shape), variable.dtype), []).append(index)
    return list(groups.values())


def make_gradients(state: TrainingState, task: Task, groups: Sequence[Sequence[int]], config: TrainingConfig, replicas: int) -> Gradients:
    """The function for one of so many replicas.

    Raises:
      InputError: accumulation with statistics of batch normalization over all replicas, which TensorFlow cannot exchange in a loop.
    """
    model, variables = state.model, state.model.trainable_variables

    def of_batch(batch, scale):
        with tf.GradientTape() as tape:
            values = task.losses(model, batch)
            loss = values["loss"] if scale is None else values["loss"] * scale
        gradients = [
            # None for what a genotype leaves without influence, such as a cell whose output the next one does not read.
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        return tf.stack([values[name] for name in task.names]), [tf.stack([gradients[index] for index in group]) for group in groups]

    size, count = micro_batches(config, replicas)
    if count == 1:
        return of_batch
    if replicas > 1 and any(isinstance(layer, BatchNorm) and layer.style.synchronized_batch_norm for layer in model._flatten_layers()):
        raise InputError(
            "TrainingConfig.replica_batch_size: does not go with NetworkConfig.synchronized_batch_norm on several devices; "
            f"expected a replica_batch_size of {config.batch_size // replicas} or more, or statistics of each replica, got {size}"
        )
    # As on so many more replicas: each part of the batch moves the statistics from where they stand, and the mean of all counts.
    local = [weight.value for weight in model.weights if weight.value.synchronization == tf.VariableSynchronization.ON_READ]

    def accumulated(batch, scale):
        parts = tf.nest.map_structure(lambda values: tf.reshape(values, [count, size, *values.shape[1:]]), batch)
        before = [tf.identity(variable) for variable in local]

        def add(number, sums):
            new = of_batch(tf.nest.map_structure(lambda values: values[number], parts), scale)
            moved = [tf.identity(variable) for variable in local]
            for variable, value in zip(local, before, strict=True):
                variable.assign(value)
            return number + 1, tf.nest.map_structure(tf.add, sums, (*new, moved))

        stacks = [tf.zeros([len(group), *variables[group[0]].shape], variables[group[0]].dtype) for group in groups]
        zeros = (tf.zeros([len(task.names)]), stacks, [tf.zeros_like(value) for value in before])
        _, (numbers, stacks, moved) = tf.while_loop(lambda number, _: number < count, add, (0, zeros), parallel_iterations=1)
        for variable, value in zip(local, moved, strict=True):
            variable.assign(value / count)
        return numbers, stacks

    return accumulated


def micro_batches(config: TrainingConfig, replicas: int) -> tuple[int, int]:
    """(examples, how many times): what one of so many replicas takes at a time, evenly, and no more than replica_batch_size."""
    part = config.batch_size // replicas
    most = min(config.replica_batch_size or part, part)
    size = next(size for size in range(most, 0, -1) if part % size == 0)
    return size, part // size
