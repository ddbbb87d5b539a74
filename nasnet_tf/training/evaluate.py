"""Accuracy and loss of a classifier over a whole split."""

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.data import ImageData
from nasnet_tf.training.corruption import naming_bad_data
from nasnet_tf.training.distribution import distribute
from nasnet_tf.training.losses import classification_loss
from nasnet_tf.training.numerics import compiled


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

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.4f}, top-5 {self.top_5_accuracy:.4f}, loss {self.loss:.4f} on {self.examples} examples"


def main_logits(outputs) -> tf.Tensor:
    """The logits of a model's outputs, which are a dict where it has an auxiliary head."""
    return outputs["logits"] if isinstance(outputs, dict) else outputs


class Evaluator:
    """Evaluates one model as often as wanted, on all replicas of the strategy; traced once. jit_compile: as in TrainingConfig.

    Attributes:
      confusion: after a call, int64 [num_classes, num_classes]: examples of each class (row) by the class they were taken for (column).
    """

    images = {}  # none for TensorBoard

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None, jit_compile: bool | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self.confusion = None

        def sums(images, labels, weights):
            logits = tf.cast(main_logits(model(images, training=False)), tf.float32)
            losses = classification_loss(labels, logits, label_smoothing=0.0)
            right = [tf.cast(tf.math.in_top_k(labels, logits, k), tf.float32) for k in (1, min(5, logits.shape[-1]))]
            totals = tf.stack([tf.reduce_sum(values * weights) for values in (*right, losses, tf.ones_like(weights))])
            taken_for = tf.argmax(logits, 1, tf.int32)
            return totals, tf.math.confusion_matrix(labels, taken_for, logits.shape[-1], weights, tf.float32)

        replica_sums = compiled(sums, jit_compile)

        @tf.function(autograph=False)
        def all_sums(batch):
            per_replica = self._strategy.run(replica_sums, args=batch)
            return [self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None) for values in per_replica]

        self._sums = all_sums

    def on_split(self, data: ImageData, split: str, batch_size: int) -> Evaluation:
        """Evaluates every example of "train", "validation" or "test" exactly once; batch_size does not change the result.

        Raises:
          InputError: an image that cannot be decoded, or a label that does not exist; the message names it.
        """
        with naming_bad_data(data, split):
            return self(distribute(self._strategy, batch_size, lambda shard: data.evaluation(split, batch_size, shard)))

    def __call__(self, batches: Iterable) -> Evaluation:
        """batches: (images, labels int [batch], weights float32 [batch]), of one replica or all; a weight of 0 marks padding."""
        totals, self.confusion = np.zeros(4), 0
        for batch in batches:
            sums, counts = self._sums(batch)
            totals += sums.numpy()
            self.confusion = self.confusion + counts.numpy().astype(np.int64)
        top_1, top_5, loss = totals[:3] / totals[3]
        return Evaluation(float(top_1), float(top_5), float(loss), int(totals[3]))
