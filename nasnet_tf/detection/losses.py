"""Losses of both stages, for each image by itself (Ren et al. 2015, equation 1)."""

import tensorflow as tf


def smooth_l1(targets: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
    """Sum over the four numbers of d^2 / 2 up to |d| = 1, |d| - 1/2 beyond: float32 [..., 4] both -> float32 [...]."""
    distance = tf.abs(targets - codes)
    return tf.reduce_sum(tf.where(distance < 1.0, 0.5 * tf.square(distance), distance - 0.5), axis=-1)


def mean_of_sampled(losses: tf.Tensor, counts: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
    """Sum of the losses that count over the number of all that were sampled; float32 [batch, n], bool, bool -> float32 [batch].

    Box losses count for objects only but are divided by all, as in the original, for both losses to have the same scale.
    """
    total = tf.reduce_sum(tf.where(counts, losses, 0.0), axis=1)
    return total / tf.maximum(tf.reduce_sum(tf.cast(sampled, tf.float32), axis=1), 1.0)
