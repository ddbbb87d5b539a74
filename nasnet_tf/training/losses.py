"""Losses of image classification (paper appendix A.7; slim's conventions)."""

from collections.abc import Iterable

import tensorflow as tf


def classification_loss(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """Cross-entropy of each example, against (1 - label_smoothing) * one-hot + label_smoothing / num_classes.

    labels: int [batch]; logits: float32 [batch, num_classes] -> float32 [batch].
    """
    num_classes = logits.shape[-1]
    targets = tf.one_hot(labels, num_classes) * (1.0 - label_smoothing) + label_smoothing / num_classes
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def is_decayed(variable) -> bool:
    """Whether weight decay applies: to kernels, never to biases, gains or other vectors (slim's argument scopes)."""
    return variable.shape.rank >= 2


def weight_decay_loss(variables: Iterable) -> tf.Tensor:
    """Sum over all kernels of sum(w^2) / 2; slim's l2_regularizer(scale) is scale times this."""
    return tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(variable)) for variable in variables if is_decayed(variable)])
