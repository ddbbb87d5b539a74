"""Chooses between branches in a graph so that only the chosen branch runs."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from nasnet_tf.models.space.templates import RANK


def switch(branch: tf.Tensor, functions: Sequence[Callable]):
    """Runs one of several functions, like tf.switch_case, but keeps each branch as a function in the graph.

    tf.switch_case would put the ops of all branches into the graph, with switches before and merges after them: tens of thousands of ops,
    which take minutes to set up. It has no argument to prevent that, so this calls a private function of TensorFlow. setup.py allows only
    releases of TensorFlow that have it.
    """
    from tensorflow.python.ops import cond_v2  # noqa: PLC0415

    return cond_v2.indexed_case(branch, functions, "switch", lower_using_switch_merge=False)


def combine(concatenates: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Adds two feature maps, float32 [batch, height, width, channels], or concatenates their channels if `concatenates`, int32 [], is 1."""
    return tf.ensure_shape(switch(concatenates, [lambda: left + right, lambda: tf.concat([left, right], -1)]), [None] * RANK)
