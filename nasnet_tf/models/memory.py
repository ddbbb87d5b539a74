"""What memory a training step takes: an estimate from its graph, run nowhere."""

import dataclasses
import itertools
import math

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError

_OPTIMIZER_SLOTS = 3  # at most: RMSProp's mean square and momentum, the moving average of the weights


@dataclasses.dataclass(frozen=True)
class Memory:
    """Attributes:
    state_bytes: weights, their gradients, and what RMSProp and the averages keep of each.
    activation_bytes: at the moment of a step where it is most.
    """

    state_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        """Of a replica; what the allocator, the kernels' work space and the input take comes on top."""
        return self.state_bytes + self.activation_bytes


def estimate_memory(model: keras.Model, batch_size: int) -> Memory:
    """Of a training step of so many images at a time on one replica.

    Operations are taken in the order of the graph, each tensor from the operation that makes it to the last that reads it. Tensors that
    share memory count once for each name, and operations that run at the same time are not thought of.

    Args:
      batch_size: images that a replica takes at a time, TrainingConfig.replica_batch_size where that is set.

    Raises:
      InputError: a model for images of any size.
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
    """Bytes of the tensors that hold the batch, at the operation where they are most."""
    places = {operation.name: place for place, operation in enumerate(operations)}
    changes = [0] * (len(operations) + 1)
    for place, operation in enumerate(operations):
        for output in operation.outputs:
            if not output.shape.rank or output.shape[0] != batch_size or not output.shape.is_fully_defined():
                continue
            # Views of another tensor take nothing of their own.
            if operation.type in ("Identity", "Reshape", "StopGradient"):
                continue
            last = max((places[consumer.name] for consumer in output.consumers()), default=place)
            changes[place] += _size(output)
            changes[last + 1] -= _size(output)
    return max(itertools.accumulate(changes))


def _size(tensor) -> int:
    return math.prod(tensor.shape) * tf.as_dtype(tensor.dtype).size
