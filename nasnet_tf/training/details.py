"""The details of an evaluation for the command evaluate, the report and Python: metrics by class, calibration and worst mistakes."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nasnet_tf.base.located import locate
from nasnet_tf.training import by_class
from nasnet_tf.training.by_class import ClassFigures
from nasnet_tf.training.calibration import Calibration

WORST = 16  # number of mistakes that are kept
_MAX_PIXELS = 192  # longest side of a mistake's picture
_MAX_PAIRS = 20  # number of pairs of confused classes that are kept

# Function (positions in the split) -> name and picture, uint8 [height, width, 3], of each example.
Pictures = Callable[[Sequence[int]], Iterator[tuple[str, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An example that the network got wrong.

    Attributes:
      place: position of the example in the split, from 0.
      expected: the class of the example; all its labels if images have several.
      found: the predicted class; if images have several labels, the label that is wrong, with "no " before a label that was missed.
      confidence: probability of the wrong answer, in [0, 1].
      name: file or id of the example; "" if no data set was evaluated.
      picture: uint8 [height, width, 3], with at most 192 pixels a side; None if no data set was evaluated.
    """

    place: int
    expected: str
    found: str
    confidence: float
    name: str = ""
    picture: np.ndarray | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class Details(abc.ABC):
    """The details of an evaluation.

    Attributes:
      class_names: class names, in the order of the network's logits.
      calibration: the network's probabilities compared with how often it is right.
      worst: the mistakes of highest confidence, most confident first, without names and pictures; see `mistakes`.
      pictures: function that reads examples of the evaluated split; None if the batches came from no data set.
    """

    class_names: Sequence[str]
    calibration: Calibration
    worst: Sequence[Mistake]
    pictures: Pictures | None = dataclasses.field(repr=False)

    @abc.abstractmethod
    def by_class(self) -> list[ClassFigures]:
        """Returns accuracy, precision, recall and F1 of each class, in class order. Needs scikit-learn."""

    @abc.abstractmethod
    def figures(self) -> dict[str, Any]:
        """Returns matplotlib figures by name."""

    @functools.cached_property
    def mistakes(self) -> list[Mistake]:
        """The mistakes of `worst` with names and pictures, if there are `pictures`. The pictures are read at the first access."""
        if self.pictures is None or not self.worst:
            return list(self.worst)
        examples = self.pictures([mistake.place for mistake in self.worst])
        return [
            dataclasses.replace(mistake, name=name, picture=_reduced(picture))
            for mistake, (name, picture) in zip(self.worst, examples, strict=True)
        ]

    def table(self) -> str:
        """Returns the metrics by class and the calibration error as text."""
        return f"{by_class.table(self.by_class())}\nexpected calibration error {self.calibration.error:.4f}"

    def results(self) -> dict[str, Any]:
        """Returns all details except pictures, JSON-ready."""
        return {
            "by_class": [dataclasses.asdict(row) for row in self.by_class()],
            "calibration": {"expected_calibration_error": self.calibration.error, "bins": self.calibration.rows()},
            "mistakes": [{key: value for key, value in vars(mistake).items() if key != "picture"} for mistake in self.mistakes],
        }


@dataclasses.dataclass(frozen=True)
class ClassificationDetails(Details):
    """The details of an evaluation of images with one label.

    Attributes:
      confusion: number of examples of each class (row) by predicted class (column), int64 [num_classes, num_classes].
    """

    confusion: np.ndarray = dataclasses.field(repr=False)

    def by_class(self) -> list[ClassFigures]:
        return by_class.of_confusion(self.confusion, self.class_names)

    def most_confused(self, count: int = _MAX_PAIRS) -> list[tuple[str, str, int]]:
        """Returns (class, predicted class, number of examples) for the `count` most frequent confusions, the most frequent first."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.class_names[row], self.class_names[column], int(wrong[row, column])) for row, column in pairs if wrong[row, column]]

    def results(self) -> dict[str, Any]:
        pairs = [{"expected": expected, "found": found, "examples": count} for expected, found, count in self.most_confused()]
        return {**super().results(), "most_confused": pairs}

    def figures(self) -> dict[str, Any]:
        """Returns matplotlib figures by name: "confusion", "reliability" and, if there are pictures, "mistakes"."""
        return locate("nasnet_tf.viz.evaluations.classification_figures")(self)


@dataclasses.dataclass(frozen=True)
class MultiLabelDetails(Details):
    """The details of an evaluation of images with several labels.

    Attributes:
      labels: true labels, 0 or 1, int8 [examples, num_classes].
      probabilities: predicted probabilities, float32 [examples, num_classes].
      classes: result of `by_class`.
    """

    labels: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)
    classes: Sequence[ClassFigures] = dataclasses.field(repr=False)

    def by_class(self) -> list[ClassFigures]:
        return list(self.classes)

    def figures(self) -> dict[str, Any]:
        """Returns matplotlib figures by name: "precision recall", "average precision", "reliability" and "mistakes"."""
        return locate("nasnet_tf.viz.label_plots.label_figures")(self)


def worst(rows: np.ndarray) -> np.ndarray:
    """Returns the rows of highest confidence, at most WORST of them, most confident first; in a tie, in the order of the split.

    Args:
      rows: float [mistakes, columns]; the first column is the place in the split, the last column the confidence.
    """
    return rows[np.lexsort((rows[:, 0], -rows[:, -1]))[:WORST]]


def _reduced(picture: np.ndarray) -> np.ndarray:
    if max(picture.shape[:2]) <= _MAX_PIXELS:
        return picture
    size = [max(1, round(side * _MAX_PIXELS / max(picture.shape[:2]))) for side in picture.shape[:2]]
    return tf.cast(tf.round(tf.image.resize(picture, size, antialias=True)), tf.uint8).numpy()
