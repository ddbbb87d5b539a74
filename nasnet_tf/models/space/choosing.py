"""One of several branches in a graph, of which only the chosen one runs."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from nasnet_tf.models.space.templates import RANK


def switch(branch: tf.Tensor, functions: Sequence[Callable]):
    """tf.switch_case that runs its one branch as a function of its own.

    tf.switch_case itself would put all branches into the graph, with switches before and merges behind them: tens of thousands of ops,
    which take minutes to set up. The public function has no argument for that, so this is its private half; setup.py bounds the releases
    of TensorFlow that have it.
    """
    from tensorflow.python.ops import cond_v2  # noqa: PLC0415

    return cond_v2.indexed_case(branch, functions, "switch", lower_using_switch_merge=False)


def combine(concatenates: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(switch(concatenates, [lambda: left + right, lambda: tf.concat([left, right], -1)]), [None] * RANK)
