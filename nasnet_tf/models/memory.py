"""Estimates the memory of a training step from its graph, without running it."""

import dataclasses
import itertools
import math

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError

_OPTIMIZER_SLOTS = 3  # the maximum: RMSProp's mean square and momentum, and the moving average of the weights


@dataclasses.dataclass(frozen=True)
class Memory:
    """The estimated memory of a training step on one replica.

    Attributes:
      state_bytes: weights, gradients, optimizer slots and moving averages of the weights.
      activation_bytes: activations at the operation where they take the most memory.
    """

    state_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        """Total of a replica, without the memory for allocator overhead, kernel workspaces and the input pipeline."""
        return self.state_bytes + self.activation_bytes


def estimate_memory(model: keras.Model, batch_size: int) -> Memory:
    """Estimates the memory of a training step on one replica.

    Assumes that operations run one after the other, in the order of the graph, and that a tensor exists from the operation that outputs it
    until the last one that reads it. Tensors that share a buffer are counted separately.

    Args:
      model: a network with a fixed image size.
      batch_size: images per replica and step; TrainingConfig.replica_batch_size if that is set.

    Raises:
      InputError: the model takes images of any size.
    """
    if None in model.input.shape[1:3]:
        raise InputError("estimate_memory: this model takes images of any size; expected one that was built with an image_size")
    spec = tf.TensorSpec([batch_size, *model.input.shape[1:]], model.input.dtype)

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(model(images, training=True))
            loss = tf.add_n([tf.reduce_sum(tf.square(tf.cast(logits, tf.float32))) for logits in outputs])
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    graph = step.get_concrete_function(spec).graph
    return Memory(
        state_bytes=sum(_size(variable) for variable in model.weights)
        + (1 + _OPTIMIZER_SLOTS) * sum(_size(variable) for variable in model.trainable_variables),
        activation_bytes=_peak(graph.get_operations(), batch_size),
    )


def _peak(operations: list[tf.Operation], batch_size: int) -> int:
    """Returns the largest number of bytes that tensors with a batch dimension take at any operation."""
    places = {operation.name: place for place, operation in enumerate(operations)}
    changes = [0] * (len(operations) + 1)
    for place, operation in enumerate(operations):
        for output in operation.outputs:
            if not output.shape.rank or output.shape[0] != batch_size or not output.shape.is_fully_defined():
                continue
            # Views of another tensor take no memory.
            if operation.type in ("Identity", "Reshape", "StopGradient"):
                continue
            last = max((places[consumer.name] for consumer in output.consumers()), default=place)
            changes[place] += _size(output)
            changes[last + 1] -= _size(output)
    return max(itertools.accumulate(changes))


def _size(tensor) -> int:
    return math.prod(tensor.shape) * tf.as_dtype(tensor.dtype).size
