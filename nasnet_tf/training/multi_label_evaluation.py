"""Average precision and F1 of several labels for each image, over a whole split, by scikit-learn."""

import dataclasses
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import TrainingDiverged
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.training.corruption import naming_bad_data
from nasnet_tf.training.distribution import distribute
from nasnet_tf.training.evaluate import main_logits
from nasnet_tf.training.losses import multi_label_loss
from nasnet_tf.training.numerics import compiled

metrics = OnDemand("sklearn.metrics")
THRESHOLD = 0.5  # probability from which a label counts as found


@dataclasses.dataclass(frozen=True)
class MultiLabelEvaluation:
    """Attributes:
    mean_average_precision: mean of the average precisions of the classes that some image has, in [0, 1].
    f1: 2 * precision * recall / (precision + recall) over the labels of all classes together ("micro"), at a threshold of 0.5.
    macro_f1: mean over the classes that some image has.
    exact_match: share of images whose labels are all right.
    loss: mean over the images of the sigmoid cross-entropy summed over the classes, without label smoothing.
    average_precision: of each class by name; None for a class that no image has.
    class_f1: the same of F1.
    positives: number of images that have each class, by name.
    examples: number of images.
    """

    mean_average_precision: float
    f1: float
    macro_f1: float
    exact_match: float
    loss: float
    average_precision: dict[str, float | None]
    class_f1: dict[str, float | None]
    positives: dict[str, int]
    examples: int

    def __str__(self) -> str:
        return (
            f"mAP {self.mean_average_precision:.4f}, F1 {self.f1:.4f}, macro F1 {self.macro_f1:.4f}, loss {self.loss:.4f} "
            f"on {self.examples} examples"
        )

    def table(self) -> str:
        """A line for each class."""
        width = max(map(len, ("class", *self.positives)))
        lines = [f"{'class':{width}}  {'AP':>6}  {'F1':>6}  {'images':>6}"]
        for name, count in self.positives.items():
            cells = ["-" if value is None else f"{value:.4f}" for value in (self.average_precision[name], self.class_f1[name])]
            lines.append(f"{name:{width}}  {cells[0]:>6}  {cells[1]:>6}  {count:>6}")
        return "\n".join(lines)


def measure(labels: np.ndarray, probabilities: np.ndarray, loss: float, class_names: Sequence[str]) -> MultiLabelEvaluation:
    """Returns the figures of a split.

    Args:
      labels: 0 or 1, int [examples, classes].
      probabilities: float [examples, classes], in [0, 1].
      loss: mean loss.

    Raises:
      TrainingDiverged: a probability is NaN.
    """
    if not np.isfinite(probabilities).all():
        raise TrainingDiverged(
            f"evaluation: {np.isnan(probabilities).any(axis=1).sum()} of {len(labels)} examples have probabilities of NaN"
        )
    found = probabilities >= THRESHOLD
    positives = labels.sum(axis=0)
    there = positives > 0
    precisions, f1s = np.full(len(positives), np.nan), np.full(len(positives), np.nan)
    for number in np.flatnonzero(there):  # scikit-learn's own loop over classes refuses a single one
        precisions[number] = metrics.average_precision_score(labels[:, number], probabilities[:, number])
        f1s[number] = metrics.f1_score(labels[:, number], found[:, number], zero_division=0.0)
    return MultiLabelEvaluation(
        mean_average_precision=_mean(precisions[there]),
        f1=float(metrics.f1_score(labels.ravel(), found.ravel(), zero_division=0.0)),
        macro_f1=_mean(f1s[there]),
        exact_match=float((found == labels.astype(bool)).all(axis=1).mean()),
        loss=loss,
        average_precision=_by_name(class_names, precisions),
        class_f1=_by_name(class_names, f1s),
        positives={name: int(count) for name, count in zip(class_names, positives, strict=True)},
        examples=len(labels),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values, strict=True)}


class MultiLabelEvaluator:
    """Evaluates one model as often as wanted, on all replicas of the strategy; traced once. jit_compile: as in TrainingConfig.

    Attributes:
      labels, probabilities: after a call, those of all examples, [examples, num_classes]. They take 5 bytes for each example and class.
    """

    images = {}  # none for TensorBoard

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None, jit_compile: bool | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self.labels = self.probabilities = None

        def answer(images, labels, weights):
            logits = tf.cast(main_logits(model(images, training=False)), tf.float32)
            return labels, tf.sigmoid(logits), multi_label_loss(labels, logits, label_smoothing=0.0), weights

        replica_answer = compiled(answer, jit_compile)

        @tf.function(autograph=False)
        def all_answers(batch):
            return [self._strategy.gather(values, axis=0) for values in self._strategy.run(replica_answer, args=batch)]

        self._answers = all_answers

    def on_split(self, data: MultiLabelData, split: str, batch_size: int) -> MultiLabelEvaluation:
        """Evaluates every example of "train", "validation" or "test" exactly once; batch_size does not change the result.

        Raises:
          InputError: an image that cannot be decoded; the message names it. Or scikit-learn is not installed.
        """
        with naming_bad_data(data, split):
            batches = distribute(self._strategy, batch_size, lambda shard: data.evaluation(split, batch_size, shard))
            return self(batches, data.class_names)

    def __call__(self, batches: Iterable, class_names: Sequence[str]) -> MultiLabelEvaluation:
        """batches: (images, labels int [batch, num_classes], weights float32 [batch]); a weight of 0 marks padding."""
        labels, probabilities, losses = [], [], []
        for batch in batches:
            *values, weights = (part.numpy() for part in self._answers(batch))
            for column, part in zip((labels, probabilities, losses), values, strict=True):
                column.append(part[weights > 0])
        self.labels, self.probabilities = np.concatenate(labels).astype(np.int8), np.concatenate(probabilities)
        return measure(self.labels, self.probabilities, float(np.concatenate(losses).mean()), class_names)
