"""Refuses an image inside a graph, with a message that users can read."""

import tensorflow as tf


def refuse_unless(condition: tf.Tensor, *message: str | tf.Tensor) -> tf.Operation | None:
    """Returns an op that fails with tf.errors.InvalidArgumentError unless the condition, bool [], holds.

    Args:
      message: parts of one sentence, which `nasnet_tf.base.errors.reason` finds in the error; tensors are scalars.
    """
    parts = [
        part if isinstance(part, str) else tf.strings.as_string(part, precision=1 if part.dtype.is_floating else -1) for part in message
    ]
    return tf.raw_ops.Assert(condition=condition, data=[tf.strings.join(parts)])
