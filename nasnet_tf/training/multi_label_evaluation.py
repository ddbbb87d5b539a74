"""Average precision, F1 and calibration for images with several labels, over a whole split, computed by scikit-learn."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import TrainingDiverged
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.training import by_class
from nasnet_tf.training.calibration import Calibration, binned
from nasnet_tf.training.corruption import naming_bad_data
from nasnet_tf.training.details import Mistake, MultiLabelDetails, Pictures, worst
from nasnet_tf.training.distribution import distribute
from nasnet_tf.training.evaluate import main_logits
from nasnet_tf.training.losses import multi_label_loss
from nasnet_tf.training.numerics import compiled

metrics = OnDemand("sklearn.metrics")
THRESHOLD = 0.5  # minimum probability for a label to count as found


@dataclasses.dataclass(frozen=True)
class MultiLabelEvaluation:
    """The figures of an evaluation. `details` is an attribute but not a field, so `dataclasses.asdict` leaves it out.

    Attributes:
      mean_average_precision: mean average precision over the classes that at least one image has, in [0, 1].
      f1: 2 * precision * recall / (precision + recall) over the labels of all classes together ("micro"), at a threshold of 0.5.
      macro_f1: mean F1 over the classes that at least one image has.
      exact_match: fraction of images whose labels are all right.
      loss: mean over the images of the sigmoid cross-entropy summed over the classes, without label smoothing.
      expected_calibration_error: see nasnet_tf.training.calibration; in [0, 1]. Compares the probabilities of all labels with whether the
        images have them.
      average_precision: average precision of each class, by name; None for a class that no image has.
      class_f1: F1 of each class, by name; None for a class that no image has.
      positives: number of images of each class, by name.
      examples: number of images.
      details: MultiLabelDetails with metrics by class, calibration and worst mistakes.
    """

    mean_average_precision: float
    f1: float
    macro_f1: float
    exact_match: float
    loss: float
    expected_calibration_error: float
    average_precision: dict[str, float | None]
    class_f1: dict[str, float | None]
    positives: dict[str, int]
    examples: int
    details: dataclasses.InitVar[MultiLabelDetails | None] = None

    def __post_init__(self, details: MultiLabelDetails | None):
        object.__setattr__(self, "details", details)

    def __str__(self) -> str:
        return (
            f"mAP {self.mean_average_precision:.4f}, F1 {self.f1:.4f}, macro F1 {self.macro_f1:.4f}, loss {self.loss:.4f} "
            f"on {self.examples} examples"
        )


def measure(
    labels: np.ndarray, probabilities: np.ndarray, loss: float, class_names: Sequence[str], pictures: Pictures | None = None
) -> MultiLabelEvaluation:
    """Returns the figures of a split.

    Args:
      labels: true labels, 0 or 1, int [examples, classes].
      probabilities: predicted probabilities, float [examples, classes], in [0, 1].
      loss: mean loss.
      class_names: names of the classes, in class order.
      pictures: function that reads examples; None if there is none.

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
    precisions = np.full(len(positives), np.nan)
    for number in np.flatnonzero(there):  # scikit-learn's own loop over classes does not accept a single class
        precisions[number] = metrics.average_precision_score(labels[:, number], probabilities[:, number])
    classes = by_class.of_labels(labels, found, class_names, precisions)
    calibration = Calibration.of_sums(binned(probabilities.ravel(), labels.ravel() > 0))
    mistakes = _mistakes(labels, probabilities, class_names)
    return MultiLabelEvaluation(
        mean_average_precision=_mean(precisions[there]),
        f1=float(metrics.f1_score(labels.ravel(), found.ravel(), zero_division=0.0)),
        macro_f1=_mean([row.f1 for row in classes if row.examples]),
        exact_match=float((found == labels.astype(bool)).all(axis=1).mean()),
        loss=loss,
        expected_calibration_error=calibration.error,
        average_precision={row.name: row.average_precision for row in classes},
        class_f1={row.name: row.f1 for row in classes},
        positives={row.name: row.examples for row in classes},
        examples=len(labels),
        details=MultiLabelDetails(class_names, calibration, mistakes, pictures, labels, probabilities, classes),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _mistakes(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> list[Mistake]:
    """Returns the mistakes of highest confidence: labels that were found on images without them, and labels that were missed."""
    places, classes = np.nonzero((probabilities >= THRESHOLD) != (labels > 0))
    missed = labels[places, classes] > 0
    sure = np.where(missed, 1 - probabilities[places, classes], probabilities[places, classes])
    mistakes = []
    for place, number, is_missed, confidence in worst(np.stack([places, classes, missed, sure], 1)).tolist():
        there = "; ".join(class_names[each] for each in np.flatnonzero(labels[int(place)])) or "nothing"
        name = class_names[int(number)]
        mistakes.append(Mistake(int(place), there, f"no {name}" if is_missed else name, confidence))
    return mistakes


class MultiLabelEvaluator:
    """Evaluates one model any number of times on all replicas of a strategy, and is traced only once.

    Attributes:
      details: details of the last evaluation. Its labels and probabilities take 5 bytes for each example and class.

    Args:
      model: the model.
      strategy: the strategy; None for the current one.
      jit_compile: as in TrainingConfig.
    """

    images = {}  # it has no images for TensorBoard

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None, jit_compile: bool | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self.details: MultiLabelDetails | None = None

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
          InputError: an image cannot be decoded, and the message names it; batch_size is not a multiple of the number of replicas; or
            scikit-learn is not installed.
        """
        with naming_bad_data(data, split):
            batches = distribute(self._strategy, batch_size, lambda shard: data.evaluation(split, batch_size, shard))
            return self(batches, data.class_names, functools.partial(data.pictures, split))

    def __call__(self, batches: Iterable, class_names: Sequence[str], pictures: Pictures | None = None) -> MultiLabelEvaluation:
        """Evaluates batches.

        Args:
          batches: (images, labels int [batch, num_classes], weights float32 [batch]) for each batch. A weight of 0 marks padding, which
            comes last.
          class_names: class names, in the order of the logits.
          pictures: function that reads examples by their places in all batches; None if there is none.
        """
        labels, probabilities, losses = [], [], []
        for batch in batches:
            *values, weights = (part.numpy() for part in self._answers(batch))
            for column, part in zip((labels, probabilities, losses), values, strict=True):
                column.append(part[weights > 0])
        examples = np.concatenate(labels).astype(np.int8), np.concatenate(probabilities)
        evaluation = measure(*examples, float(np.concatenate(losses).mean()), class_names, pictures)
        self.details = evaluation.details
        return evaluation
