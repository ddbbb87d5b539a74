"""One training step on all replicas: losses, gradients, clipping, update, average."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training.losses import classification_loss, is_decayed


class StepResult(NamedTuple):
    """What a step says of itself, summed over all replicas of all workers.

    Attributes:
      loss: mean over the batch, without regularization, with the auxiliary head's.
      auxiliary_loss: that of the auxiliary head alone, weighted; 0 without.
      accuracy: share of the batch that the network got right, before the update.
      corrupt: number of images that could not be decoded, which count as nothing.
      stops: number of replicas whose worker was asked to stop.
    """

    loss: float
    auxiliary_loss: float
    accuracy: float
    corrupt: float
    stops: float


def make_train_step(model: keras.Model, optimizer, average, config, strategy: tf.distribute.Strategy):
    """Returns a function (batch, learning rate, progress in [0, 1), step, stop) -> the numbers of a StepResult, float32 [5].

    batch: images and labels int32, -1 for an image that could not be decoded. Trains what is trainable now; make another after a change.
    """
    num_replicas = strategy.num_replicas_in_sync
    variables = model.trainable_variables
    groups = _same_shapes(variables)

    def replica_step(images, labels, step, stop):
        weights = tf.cast(labels >= 0, tf.float32)
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
            losses = classification_loss(labels, outputs["logits"], config.label_smoothing) * weights
            auxiliary = tf.zeros_like(losses)
            if "auxiliary_logits" in outputs:
                auxiliary = classification_loss(labels, outputs["auxiliary_logits"], config.label_smoothing) * weights
                auxiliary *= config.auxiliary_loss_weight
            loss = tf.reduce_sum(losses + auxiliary) / config.batch_size  # of the global batch: replicas add up
        gradients = [
            # None for what a genotype leaves without influence, such as a cell whose output the next one does not read.
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True)
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
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(outputs["logits"], 1, tf.int32), labels), tf.float32))
        result = StepResult(
            loss=loss,
            auxiliary_loss=tf.reduce_sum(auxiliary) / config.batch_size,
            accuracy=right / config.batch_size,
            corrupt=tf.reduce_sum(1.0 - weights),
            stops=stop,
        )
        return tf.stack(result)

    @tf.function(autograph=False)
    def train_step(batch, rate, progress, step, stop):
        optimizer.learning_rate.assign(rate)
        for layer in stochastic_layers(model):
            if isinstance(layer, DropPath):
                layer.progress.assign(progress if config.schedule_drop_path else 1.0)
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, args=(*batch, step, stop)), axis=None)

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
