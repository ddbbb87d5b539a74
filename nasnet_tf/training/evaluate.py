"""Accuracy and loss over a whole split."""

import dataclasses

import keras
import tensorflow as tf

from nasnet_tf.training.losses import classification_loss


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Attributes:
    accuracy: share of examples whose highest logit is their label's, in [0, 1].
    top_5_accuracy: share whose label is among the five highest logits.
    loss: mean cross-entropy, without label smoothing.
    examples: how many there were.
    """

    accuracy: float
    top_5_accuracy: float
    loss: float
    examples: int


def main_logits(outputs) -> tf.Tensor:
    """The logits of a model's outputs, which are a dict where it has an auxiliary head."""
    return outputs["logits"] if isinstance(outputs, dict) else outputs


class Evaluator:
    """Evaluates one model as often as wanted; traced once."""

    def __init__(self, model: keras.Model):
        @tf.function(autograph=False)
        def sums(images, labels, weights):
            logits = tf.cast(main_logits(model(images, training=False)), tf.float32)
            losses = classification_loss(labels, logits, label_smoothing=0.0)
            right = [tf.cast(tf.math.in_top_k(labels, logits, k), tf.float32) for k in (1, min(5, logits.shape[-1]))]
            return tf.stack([tf.reduce_sum(values * weights) for values in (*right, losses, tf.ones_like(weights))])

        self._sums = sums

    def __call__(self, dataset: tf.data.Dataset) -> Evaluation:
        """dataset: batches (images, labels int [batch], weights float32 [batch]); a weight of 0 marks padding."""
        totals = tf.add_n([self._sums(*batch) for batch in dataset]).numpy().astype(float)
        top_1, top_5, loss = totals[:3] / totals[3]
        return Evaluation(float(top_1), float(top_5), float(loss), int(totals[3]))
