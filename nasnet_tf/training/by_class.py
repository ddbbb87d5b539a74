"""Accuracy, precision, recall and F1 of each class, by scikit-learn, and their table."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.extras import OnDemand

metrics = OnDemand("sklearn.metrics")
MOST_ROWS = 50  # largest number of classes in a table for people
MOST_NAMES = 10  # largest number of names of classes without examples in a note


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """How good a classifier is at one class. Undefined figures are None.

    Attributes:
      name: of the class.
      examples: number of examples of the class.
      found: number of examples that the network took for the class.
      accuracy: fraction of all examples that were rightly taken for the class or rightly not taken for it, in [0, 1].
      precision: fraction of `found` that are of the class. None where nothing was found, and for a class without examples.
      recall: fraction of `examples` that were found. None for a class without examples.
      f1: 2 * precision * recall / (precision + recall), 0 where nothing was found. None for a class without examples.
      average_precision: area under precision over recall. None for a class without examples, and where an image has one label.
    """

    name: str
    examples: int
    found: int
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None


def of_confusion(confusion: np.ndarray, names: Sequence[str]) -> list[ClassFigures]:
    """Returns the figures of all classes, in their order.

    Args:
      confusion: examples of each class (row) by the class they were taken for (column), int [num_classes, num_classes].
      names: of the classes. They need not differ.
    """
    expected, found = np.nonzero(confusion)
    return _figures(expected, found, range(len(names)), names, confusion[expected, found])


def of_labels(labels: np.ndarray, found: np.ndarray, names: Sequence[str], average_precision: np.ndarray) -> list[ClassFigures]:
    """Returns the figures of all classes, in their order, where an image has several labels.

    Args:
      labels: 0 or 1, int [examples, num_classes].
      found: of the network, bool [examples, num_classes].
      names: of the classes.
      average_precision: of each class, float [num_classes]; NaN for a class without examples.
    """
    if len(names) == 1:  # scikit-learn takes a single column for a vector
        return _figures(labels.ravel(), found.ravel().astype(int), [1], names, None, average_precision)
    return _figures(labels, found.astype(int), range(len(names)), names, None, average_precision)


def _figures(expected, found, labels, names, weights=None, average_precision=None) -> list[ClassFigures]:
    how = {"labels": labels, "sample_weight": weights}
    counts = metrics.multilabel_confusion_matrix(expected, found, **how).reshape(-1, 4)  # neither, found alone, expected alone, both
    scores = metrics.precision_recall_fscore_support(expected, found, **how, average=None, zero_division=np.nan)[:3]
    areas = np.full(len(names), np.nan) if average_precision is None else average_precision
    rows = zip(names, counts.tolist(), *scores, areas, strict=True)
    return [_figures_of_class(name, *count, values) for name, count, *values in rows]


def _figures_of_class(name, neither, found_alone, expected_alone, both, scores) -> ClassFigures:
    examples, total = expected_alone + both, neither + found_alone + expected_alone + both
    are_defined = [not (examples == 0 or np.isnan(score)) for score in scores]
    values = [float(score) if is_defined else None for score, is_defined in zip(scores, are_defined, strict=True)]
    return ClassFigures(name, int(examples), int(found_alone + both), (neither + both) / total, *values)


def worst_first(rows: Sequence[ClassFigures]) -> list[ClassFigures]:
    """Returns the figures of the classes that have examples, the lowest F1 first."""
    return sorted((row for row in rows if row.examples), key=lambda row: row.f1)


def notes(rows: Sequence[ClassFigures]) -> list[str]:
    """Returns sentences about the classes that a table of the MOST_ROWS worst ones leaves out, and about those without examples."""
    num_more, absent = len(worst_first(rows)) - MOST_ROWS, [row.name for row in rows if not row.examples]
    found = [f"{num_more:,} more classes have a higher F1, or the same."] if num_more > 0 else []
    if absent:
        more = f" and {len(absent) - MOST_NAMES:,} more" if len(absent) > MOST_NAMES else ""
        found.append(f"Precision, recall and F1 are undefined for classes without images: {', '.join(absent[:MOST_NAMES])}{more}.")
    return found


def table(rows: Sequence[ClassFigures]) -> str:
    """Returns a table as text: a line for each of the MOST_ROWS worst classes, the lowest F1 first, then the means and the notes."""
    there = worst_first(rows)
    columns = ["average_precision"] if any(row.average_precision is not None for row in there) else []
    columns += ["accuracy", "precision", "recall", "f1"]
    titles = {"average_precision": "AP", "f1": "F1"}
    shown, mean = there[:MOST_ROWS], f"mean of {len(there)}"
    width = max(map(len, ("class", mean, *(row.name for row in shown))))
    lines = [f"{'class':{width}}" + "".join(f"  {titles.get(name, name):>9}" for name in columns) + f"  {'images':>7}"]
    for row in shown:
        lines.append(f"{row.name:{width}}" + "".join(f"  {_cell(getattr(row, name)):>9}" for name in columns) + f"  {row.examples:>7}")
    if there:
        lines.append(f"{mean:{width}}" + "".join(f"  {_cell(_mean(there, name)):>9}" for name in columns))
    return "\n".join([*lines, *notes(rows)])


def _mean(rows: Sequence[ClassFigures], name: str) -> float | None:
    """Returns the mean over the classes for which a figure is defined; None if there are none."""
    values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
    return float(np.mean(values)) if values else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
