"""One training step on all replicas: losses, gradients, clipping, update, average."""

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training.losses import is_decayed
from nasnet_tf.training.task import Task

STOPS = "stops"  # what a step says besides the numbers of its task: how many replicas' workers were asked to stop


def make_train_step(model: keras.Model, task: Task, optimizer, average, config, strategy: tf.distribute.Strategy):
    """Returns a function (batch, learning rate, progress in [0, 1), step, stop) -> the task's numbers and STOPS, float32 [names + 1].

    The numbers are summed over all replicas of all workers. Trains what is trainable now; make another after a change.
    """
    num_replicas = strategy.num_replicas_in_sync
    variables = model.trainable_variables
    groups = _same_shapes(variables)

    def replica_step(batch, step, stop):
        with tf.GradientTape() as tape:
            values = task.losses(model, batch)
        gradients = [
            # None for what a genotype leaves without influence, such as a cell whose output the next one does not read.
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(values["loss"], variables), variables, strict=True)
        ]
        # Hundreds of variables have a few dozen shapes: those of one shape are handled in one op, or tracing would take minutes for what
        # a short training does in seconds.
        stacks = [tf.stack([gradients[index] for index in group]) for group in groups]
        if num_replicas > 1:
            stacks = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, stacks)
        if config.weight_decay:
            # The gradient of weight_decay * sum(kernel^2) / 2, once and not once per replica.
            for number, group in enumerate(groups):
                if is_decayed(variables[group[0]]):
                    stacks[number] += config.weight_decay * tf.stack([variables[index].value for index in group])
        if config.gradient_clip_norm is not None:
            stacks, _ = tf.clip_by_global_norm(stacks, config.gradient_clip_norm)
        if num_replicas > 1:
            # Keras sums over the replicas once more.
            stacks = [stack / num_replicas for stack in stacks]
        for stack, group in zip(stacks, groups, strict=True):
            for index, gradient in zip(group, tf.unstack(stack), strict=True):
                gradients[index] = gradient
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if average:
            average.update(step)
        return tf.stack([*(values[name] for name in task.names), stop])

    @tf.function(autograph=False)
    def train_step(batch, rate, progress, step, stop):
        optimizer.learning_rate.assign(rate)
        for layer in stochastic_layers(model):
            if isinstance(layer, DropPath):
                layer.progress.assign(progress if config.schedule_drop_path else 1.0)
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, args=(batch, step, stop)), axis=None)

    def call(batch, rate: float, progress: float, step: int, stop: bool) -> tf.Tensor:
        # Numpy scalars: a Python number would be a new trace of the step each time.
        return train_step(batch, np.float32(rate), np.float32(progress), np.int64(step), np.float32(stop))

    return call


def _same_shapes(variables: list[keras.Variable]) -> list[list[int]]:
    """The variables' numbers, those of one shape and dtype together."""
    groups = {}
    for index, variable in enumerate(variables):
        groups.setdefault((tuple(variable.shape), variable.dtype), []).append(index)
    return list(groups.values())
