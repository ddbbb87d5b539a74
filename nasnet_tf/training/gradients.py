"""Gradients of the loss on one replica's part of a batch: all examples at once, or a few at a time to save memory."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.normalization import BatchNorm
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.task import Task

# Function (batch, loss scale or None) -> (metrics of the task, float32 [names]; stacked gradients of each group of variables).
Gradients = Callable[[Any, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]


def same_shapes(variables: Sequence[keras.Variable]) -> list[list[int]]:
    """Returns groups of variables with equal shape and dtype, as indices.

    Hundreds of variables have only a few dozen shapes. One op handles all gradients of a group, because with one op for each variable,
    tracing would take minutes for a short training that takes seconds.
    """
    groups = {}
    for index, variable in enumerate(variables):
        groups.setdefault((tuple(variable.shape), variable.dtype), []).append(index)
    return list(groups.values())


def make_gradients(state: TrainingState, task: Task, groups: Sequence[Sequence[int]], config: TrainingConfig, replicas: int) -> Gradients:
    """Returns the function that computes the gradients on one replica.

    Args:
      state: state with the model.
      task: task that computes the losses.
      groups: groups of the model's trainable variables, from `same_shapes`.
      config: configuration of the training.
      replicas: number of replicas.

    Raises:
      InputError: replica_batch_size is combined with batch normalization over several replicas, which TensorFlow cannot run in a loop.
    """
    model, variables = state.model, state.model.trainable_variables

    def of_batch(batch, scale):
        with tf.GradientTape() as tape:
            values = task.losses(model, batch)
            loss = values["loss"] if scale is None else values["loss"] * scale
        gradients = [
            # The gradient is None for variables that do not affect the loss, such as those of a cell whose output no other cell reads.
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        return tf.stack([values[name] for name in task.names]), [tf.stack([gradients[index] for index in group]) for group in groups]

    size, count = micro_batches(config, replicas)
    if count == 1:
        return of_batch
    if replicas > 1 and any(isinstance(layer, BatchNorm) and layer.style.synchronized_batch_norm for layer in model._flatten_layers()):
        raise InputError(
            f"TrainingConfig.replica_batch_size: expected {config.batch_size // replicas} or more on several devices with "
            f"NetworkConfig.synchronized_batch_norm, got {config.replica_batch_size}; raise it, or set synchronized_batch_norm = False"
        )
    # Parts act like replicas: each one updates the moving statistics from their values before the step, and the mean of all is kept.
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
    """Returns (size, number) of the equal micro-batches into which a replica splits its examples of a batch.

    Args:
      config: configuration with batch_size and replica_batch_size, the maximum size of a micro-batch.
      replicas: number of replicas.
    """
    part = config.batch_size // replicas
    most = min(config.replica_batch_size or part, part)
    size = next(size for size in range(most, 0, -1) if part % size == 0)
    return size, part // size
