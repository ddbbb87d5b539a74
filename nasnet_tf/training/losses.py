"""Losses of image classification (paper appendix A.7; slim's conventions)."""

from collections.abc import Iterable, Sequence

import tensorflow as tf


def classification_loss(
    labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float, class_weights: Sequence[float] | None = None
) -> tf.Tensor:
    """Returns the cross-entropy of each example, float32 [batch].

    The target is (1 - label_smoothing) * one-hot + label_smoothing / num_classes.

    Args:
      labels: int [batch].
      logits: float32 [batch, num_classes].
      label_smoothing: fraction of the target that is spread over all classes, in [0, 1].
      class_weights: factor of the loss for each label; None for no weights.
    """
    num_classes = logits.shape[-1]
    labeled = tf.one_hot(labels, num_classes)
    losses = tf.nn.softmax_cross_entropy_with_logits(labeled * (1.0 - label_smoothing) + label_smoothing / num_classes, logits)
    return losses if class_weights is None else losses * tf.linalg.matvec(labeled, tf.constant(class_weights, tf.float32))


def multi_label_loss(
    labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float, class_weights: Sequence[float] | None = None
) -> tf.Tensor:
    """Returns the sigmoid cross-entropy of each example, summed over the classes, float32 [batch].

    With the sum, the gradient of each logit is probability - target, as for a softmax. The targets are
    (1 - label_smoothing) * labels + label_smoothing / 2.

    Args:
      labels: 0 or 1, int [batch, num_classes].
      logits: float32 [batch, num_classes].
      label_smoothing: twice the distance of the targets from 0 and 1, in [0, 1].
      class_weights: factor of the loss for each class, applied where the label is 1; None for no weights.
    """
    labels = tf.cast(labels, logits.dtype)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels * (1.0 - label_smoothing) + label_smoothing / 2, logits)
    if class_weights is not None:
        losses *= 1.0 + labels * (tf.constant(class_weights, logits.dtype) - 1.0)
    return tf.reduce_sum(losses, axis=1)


def is_decayed(variable) -> bool:
    """Returns whether weight decay applies: to kernels, but not to biases, gains or other vectors (slim's argument scopes)."""
    return variable.shape.rank >= 2


def weight_decay_loss(variables: Iterable) -> tf.Tensor:
    """Returns the sum of w^2 / 2 over the weights of all kernels, float32 []; slim's l2_regularizer(scale) is scale times this."""
    return tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(variable)) for variable in variables if is_decayed(variable)])


def is_first(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns for each example whether its label has the highest logit, bool [batch].

    Of several classes with the highest logit, only the first has it: tf.math.in_top_k alone would count all of them, so that a network
    without an opinion would always be right. NaN is never the highest.

    Args:
      labels: int [batch].
      logits: float32 [batch, num_classes].
    """
    return tf.math.in_top_k(labels, logits, 1) & tf.equal(tf.argmax(logits, 1, tf.int32), tf.cast(labels, tf.int32))
