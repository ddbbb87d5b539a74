"""The details of an evaluation: figures by class, calibration, the worst mistakes. `evaluate`, the report and Python get them here."""

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

WORST = 16  # mistakes that are kept
_MOST_PIXELS = 192  # a side of a mistake's picture
_MOST_PAIRS = 20  # of classes that are confused

# Places in the split -> the name of each example and its picture, uint8 [height, width, 3].
Pictures = Callable[[Sequence[int]], Iterator[tuple[str, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An example that the network was wrong about.

    Attributes:
      place: of the example in the split, from 0.
      expected: the class of the example; all its labels where an image has several.
      found: what the network took it for.
      confidence: probability of what was found, in [0, 1].
      name: of the example: its file or its id; "" where no data set was evaluated.
      picture: uint8 [height, width, 3], at most 192 pixels a side; None where no data set was evaluated.
    """

    place: int
    expected: str
    found: str
    confidence: float
    name: str = ""
    picture: np.ndarray | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class Details(abc.ABC):
    """Attributes:
    class_names: of the network, in the order of its logits.
    calibration: how far the probabilities are from how often the network is right.
    worst: the mistakes of highest confidence, the worst first, without names and pictures; see `mistakes`.
    pictures: of the split that was evaluated; None where batches were evaluated that come from no data set.
    """

    class_names: Sequence[str]
    calibration: Calibration
    worst: Sequence[Mistake]
    pictures: Pictures | None = dataclasses.field(repr=False)

    @abc.abstractmethod
    def by_class(self) -> list[ClassFigures]:
        """Returns accuracy, precision, recall and F1 of each class, in the order of the classes. Needs scikit-learn."""

    @abc.abstractmethod
    def figures(self) -> dict[str, Any]:
        """Returns matplotlib figures by name."""

    @functools.cached_property
    def mistakes(self) -> list[Mistake]:
        """The mistakes of highest confidence, the worst first, with names and pictures. Reads the pictures when first asked."""
        if self.pictures is None or not self.worst:
            return list(self.worst)
        examples = self.pictures([mistake.place for mistake in self.worst])
        return [
            dataclasses.replace(mistake, name=name, picture=_reduced(picture))
            for mistake, (name, picture) in zip(self.worst, examples, strict=True)
        ]

    def table(self) -> str:
        """Returns the figures by class and the calibration as text."""
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
    """Attributes:
    confusion: examples of each class (row) by the class they were taken for (column), int64 [num_classes, num_classes].
    """

    confusion: np.ndarray = dataclasses.field(repr=False)

    def by_class(self) -> list[ClassFigures]:
        return by_class.of_confusion(self.confusion, self.class_names)

    def most_confused(self, count: int = _MOST_PAIRS) -> list[tuple[str, str, int]]:
        """Returns (class, class that it was taken for, number of examples) of the most frequent confusions, the most frequent first."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.class_names[row], self.class_names[column], int(wrong[row, column])) for row, column in pairs if wrong[row, column]]

    def results(self) -> dict[str, Any]:
        pairs = [{"expected": expected, "found": found, "examples": count} for expected, found, count in self.most_confused()]
        return {**super().results(), "most_confused": pairs}

    def figures(self) -> dict[str, Any]:
        """Returns matplotlib figures by name: "confusion", "reliability" and, where there are pictures, "mistakes"."""
        return locate("nasnet_tf.viz.evaluations.classification_figures")(self)


@dataclasses.dataclass(frozen=True)
class MultiLabelDetails(Details):
    """Attributes:
    labels: of the examples, 0 or 1, int8 [examples, num_classes].
    probabilities: float32 [examples, num_classes].
    classes: what `by_class` returns.
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
    """Returns the rows of the mistakes that are kept: those of highest confidence, the worst first; equal ones in the order of the split.

    Args:
      rows: float [mistakes, columns], the place in the split first and the confidence last.
    """
    return rows[np.lexsort((rows[:, 0], -rows[:, -1]))[:WORST]]


def _reduced(picture: np.ndarray) -> np.ndarray:
    if max(picture.shape[:2]) <= _MOST_PIXELS:
        return picture
    size = [max(1, round(side * _MOST_PIXELS / max(picture.shape[:2]))) for side in picture.shape[:2]]
    return tf.cast(tf.round(tf.image.resize(picture, size, antialias=True)), tf.uint8).numpy()
