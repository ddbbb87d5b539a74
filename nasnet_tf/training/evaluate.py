"""Accuracy, loss and calibration of a classifier over a whole split."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.data import ImageData
from nasnet_tf.training.calibration import Calibration, binned
from nasnet_tf.training.corruption import naming_bad_data
from nasnet_tf.training.details import ClassificationDetails, Mistake, Pictures, worst
from nasnet_tf.training.distribution import distribute
from nasnet_tf.training.losses import classification_loss, is_first
from nasnet_tf.training.numerics import compiled


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The figures of an evaluation. `details` is an attribute but not a field, so `dataclasses.asdict` leaves it out.

    Attributes:
      accuracy: fraction of examples for which the label has the highest logit, in [0, 1].
      top_5_accuracy: fraction of examples whose label is among the five highest logits, in [0, 1].
      loss: mean cross-entropy, without label smoothing.
      expected_calibration_error: see nasnet_tf.training.calibration; in [0, 1].
      examples: number of examples.
      details: ClassificationDetails with metrics by class, calibration, confusion matrix and worst mistakes.
    """

    accuracy: float
    top_5_accuracy: float
    loss: float
    expected_calibration_error: float
    examples: int
    details: dataclasses.InitVar[ClassificationDetails | None] = None

    def __post_init__(self, details: ClassificationDetails | None):
        object.__setattr__(self, "details", details)

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.4f}, top-5 {self.top_5_accuracy:.4f}, loss {self.loss:.4f} on {self.examples} examples"


def main_logits(outputs) -> tf.Tensor:
    """Returns the main logits from a model's outputs, which are a dict if it has an auxiliary head."""
    return outputs["logits"] if isinstance(outputs, dict) else outputs


class Evaluator:
    """Evaluates one model any number of times on all replicas of a strategy, and is traced only once.

    Attributes:
      details: details of the last evaluation.

    Args:
      model: the model.
      strategy: the strategy; None for the current one.
      jit_compile: as in TrainingConfig.
    """

    images = {}  # it has no images for TensorBoard

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None, jit_compile: bool | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self.details: ClassificationDetails | None = None

        def answer(images, labels, weights):
            logits = tf.cast(main_logits(model(images, training=False)), tf.float32)
            losses = classification_loss(labels, logits, label_smoothing=0.0)
            taken_for = tf.argmax(logits, 1, tf.int32)
            right = is_first(labels, logits), tf.math.in_top_k(labels, logits, min(5, logits.shape[-1]))
            sums = (*(tf.cast(values, tf.float32) for values in right), losses, tf.ones_like(weights))
            totals = tf.stack([tf.reduce_sum(values * weights) for values in sums])
            confusion = tf.math.confusion_matrix(labels, taken_for, logits.shape[-1], weights, tf.float32)
            # Class numbers are exact in float32, so all columns fit into one tensor to gather.
            confidence = tf.reduce_max(tf.nn.softmax(logits), 1)
            rows = tf.stack([tf.cast(labels, tf.float32), tf.cast(taken_for, tf.float32), confidence, weights], 1)
            return totals, confusion, rows

        replica_answer = compiled(answer, jit_compile)

        @tf.function(autograph=False)
        def all_answers(batch):
            *sums, rows = self._strategy.run(replica_answer, args=batch)
            sums = [self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None) for values in sums]
            return *sums, self._strategy.gather(rows, axis=0)

        self._answers = all_answers

    def on_split(self, data: ImageData, split: str, batch_size: int) -> Evaluation:
        """Evaluates every example of "train", "validation" or "test" exactly once; batch_size does not change the result.

        Raises:
          InputError: an image cannot be decoded or a label does not exist, and the message names it; or batch_size is not a multiple of the
            number of replicas.
        """
        with naming_bad_data(data, split):
            batches = distribute(self._strategy, batch_size, lambda shard: data.evaluation(split, batch_size, shard))
            return self(batches, data.class_names, functools.partial(data.pictures, split))

    def __call__(self, batches: Iterable, class_names: Sequence[str] | None = None, pictures: Pictures | None = None) -> Evaluation:
        """Evaluates batches.

        Args:
          batches: (images, labels int [batch], weights float32 [batch]) for each batch, plain or distributed over replicas. A weight of
            0 marks padding, which comes last.
          class_names: class names, in the order of the logits; None for the class numbers.
          pictures: function that reads examples by their places in all batches; None if there is none.
        """
        totals, bins, confusion, mistakes, start = np.zeros(4), 0, 0, np.zeros([0, 4]), 0
        for batch in batches:
            sums, counts, rows = (part.numpy() for part in self._answers(batch))
            totals += sums
            confusion = confusion + counts.astype(np.int64)
            places, rows = np.arange(start, start + len(rows)), rows.astype(np.float64)
            start += len(rows)
            is_real = rows[:, -1] > 0
            labels, found, confidences = rows[is_real, :-1].T
            wrong = labels[(labels < 0) | (labels >= len(counts))]
            if len(wrong):  # XLA leaves out the assertions of TensorFlow's functions
                raise tf.errors.InvalidArgumentError(None, None, f"label: expected 0 to {len(counts) - 1}, got {int(wrong[0])}")
            bins = bins + binned(confidences, labels == found)
            answers = np.stack([places[is_real], labels, found, confidences], 1)
            mistakes = worst(np.concatenate([mistakes, answers[labels != found]]))
        names = class_names or [str(number) for number in range(len(confusion))]
        calibration = Calibration.of_sums(bins)
        found_wrong = [Mistake(int(place), names[int(label)], names[int(found)], sure) for place, label, found, sure in mistakes.tolist()]
        self.details = ClassificationDetails(names, calibration, found_wrong, pictures, confusion)
        top_1, top_5, loss = (totals[:3] / totals[3]).tolist()
        return Evaluation(top_1, top_5, loss, calibration.error, int(totals[3]), self.details)
