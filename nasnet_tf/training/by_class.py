"""Accuracy, precision, recall and F1 of each class, computed by scikit-learn, and a table of them as text."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.extras import OnDemand

metrics = OnDemand("sklearn.metrics")
MOST_ROWS = 50  # maximum number of classes in a printed table
MOST_NAMES = 10  # maximum number of class names in the note about classes without examples


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Metrics of a classifier for one class. An undefined metric is None.

    Attributes:
      name: name of the class.
      examples: number of examples of the class.
      found: number of examples that the network predicted to be of the class.
      accuracy: fraction of all examples for which the network is right about whether they are of the class, in [0, 1].
      precision: fraction of `found` that are of the class. None if nothing was found, and for a class without examples.
      recall: fraction of `examples` that were found. None for a class without examples.
      f1: 2 * precision * recall / (precision + recall); 0 if nothing was found. None for a class without examples.
      average_precision: area under the precision-recall curve. None for a class without examples, or if each image has one label.
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
    """Returns the metrics of all classes from a confusion matrix, in class order.

    Args:
      confusion: number of examples of each class (row) by predicted class (column), int [num_classes, num_classes].
      names: names of the classes; two classes may have the same name.
    """
    expected, found = np.nonzero(confusion)
    return _figures(expected, found, range(len(names)), names, confusion[expected, found])


def of_labels(labels: np.ndarray, found: np.ndarray, names: Sequence[str], average_precision: np.ndarray) -> list[ClassFigures]:
    """Returns the metrics of all classes for images with several labels, in class order.

    Args:
      labels: true labels, 0 or 1, int [examples, num_classes].
      found: predicted labels, bool [examples, num_classes].
      names: names of the classes.
      average_precision: average precision of each class, float [num_classes]; NaN for a class without examples.
    """
    if len(names) == 1:  # scikit-learn would read a single column as a vector of class numbers
        return _figures(labels.ravel(), found.ravel().astype(int), [1], names, None, average_precision)
    return _figures(labels, found.astype(int), range(len(names)), names, None, average_precision)


def _figures(expected, found, labels, names, weights=None, average_precision=None) -> list[ClassFigures]:
    how = {"labels": labels, "sample_weight": weights}
    counts = metrics.multilabel_confusion_matrix(expected, found, **how).reshape(-1, 4)  # tn, fp, fn, tp of each class
    scores = metrics.precision_recall_fscore_support(expected, found, **how, average=None, zero_division=np.nan)[:3]
    areas = np.full(len(names), np.nan) if average_precision is None else average_precision
    rows = zip(names, counts.tolist(), *scores, areas, strict=True)
    return [_figures_of_class(name, *count, values) for name, count, *values in rows]


def _figures_of_class(name, true_negatives, false_positives, false_negatives, true_positives, scores) -> ClassFigures:
    examples, found = false_negatives + true_positives, false_positives + true_positives
    accuracy = (true_negatives + true_positives) / (true_negatives + false_positives + examples)
    are_defined = [not (examples == 0 or np.isnan(score)) for score in scores]
    values = [float(score) if is_defined else None for score, is_defined in zip(scores, are_defined, strict=True)]
    return ClassFigures(name, int(examples), int(found), accuracy, *values)


def worst_first(rows: Sequence[ClassFigures]) -> list[ClassFigures]:
    """Returns the metrics of the classes that have examples, the lowest F1 first."""
    return sorted((row for row in rows if row.examples), key=lambda row: row.f1)


def notes(rows: Sequence[ClassFigures]) -> list[str]:
    """Returns notes on a table: how many classes it leaves out after MOST_ROWS, and which classes have no examples."""
    num_more, absent = len(worst_first(rows)) - MOST_ROWS, [row.name for row in rows if not row.examples]
    found = [f"{num_more:,} more classes have an equal or higher F1."] if num_more > 0 else []
    if absent:
        more = f" and {len(absent) - MOST_NAMES:,} more" if len(absent) > MOST_NAMES else ""
        found.append(f"Precision, recall and F1 are undefined for classes without images: {', '.join(absent[:MOST_NAMES])}{more}.")
    return found


def table(rows: Sequence[ClassFigures]) -> str:
    """Returns a table as text: a line for each of the MOST_ROWS classes with the lowest F1, the lowest first; the means; the notes."""
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
    """Returns the mean of a metric over the classes for which it is defined; None if there are none."""
    values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
    return float(np.mean(values)) if values else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
