"""The losses of both stages, computed separately for each image (Ren et al. 2015, equation 1)."""

import tensorflow as tf


def smooth_l1(targets: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
    """Returns the smooth L1 loss, summed over the four numbers of a code: d^2 / 2 if |d| < 1, else |d| - 1/2.

    float32 [..., 4], float32 [..., 4] -> float32 [...].
    """
    distance = tf.abs(targets - codes)
    return tf.reduce_sum(tf.where(distance < 1.0, 0.5 * tf.square(distance), distance - 0.5), axis=-1)


def mean_of_sampled(losses: tf.Tensor, counts: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the losses where `counts` is True, divided by the number of all sampled candidates.

    As in the original, box losses count only for objects but are divided by the number of all samples, so that both losses have the same
    scale.

    Args:
      losses: float32 [batch, n].
      counts: bool [batch, n], which losses are summed.
      sampled: bool [batch, n], which candidates were sampled.

    Returns:
      float32 [batch].
    """
    total = tf.reduce_sum(tf.where(counts, losses, 0.0), axis=1)
    return total / tf.maximum(tf.reduce_sum(tf.cast(sampled, tf.float32), axis=1), 1.0)
