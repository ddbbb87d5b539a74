"""Plots of an evaluation: confused classes, the worst mistakes, and the reliability of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.viz.axes import BLUE, GREY, legend, strip_axes

if TYPE_CHECKING:  # these modules import TensorFlow, which a report does not need
    from nasnet_tf.training.calibration import Calibration
    from nasnet_tf.training.details import ClassificationDetails, Details, Mistake

_MAX_CONFUSED = 50  # largest number of classes for which a confusion matrix is drawn
_COLUMNS = 4
_LONGEST_NAME = 26  # longest class name in a title or label, in characters; longer names are cut


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Plots a confusion matrix with numbers of examples. Colors show the fraction of each class.

    Args:
      confusion: int [num_classes, num_classes], the number of examples of a class (row) that were classified as another (column).
      class_names: names of the classes.
    """
    size = 1.6 + 0.36 * len(class_names)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if shares[row, column] > 0.5 else "#3f3f46"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=color)
    places = range(len(class_names))
    axes.set_xticks(places, class_names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(places, class_names, fontsize=8, parse_math=False)
    axes.set(xlabel="taken for", ylabel="class")
    return figure


def plot_most_confused(pairs: Sequence[tuple[str, str, int]]) -> Figure:
    """Plots a bar for each pair of confused classes, the first one at the top.

    Args:
      pairs: list of (class, class that it was taken for, number of examples).
    """
    figure = Figure(figsize=(6.4, 1.0 + 0.24 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(pairs)), [count for _, _, count in pairs], color=BLUE)
    names = [f"{_short(expected)} taken for {_short(found)}" for expected, found, _ in pairs]
    axes.set_yticks(range(len(pairs)), names, fontsize=8, parse_math=False)
    axes.set(xlabel="examples", title="most frequent confusions")
    axes.invert_yaxis()
    strip_axes(axes, counts=True)
    return figure


def plot_reliability(calibration: Calibration) -> Figure:
    """Plots accuracy over confidence in bins of equal width, and the number of examples in each bin (Guo et al. 2017, figure 1)."""
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = len(calibration.examples)
    centers, filled = (np.arange(bins) + 0.5) / bins, calibration.examples > 0
    axes.bar(centers[filled], calibration.accuracy[filled], width=0.9 / bins, color=BLUE)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="confidence = accuracy")
    axes.plot(calibration.confidence[filled], calibration.accuracy[filled], ".", color=GREY, label="a bin, at its mean confidence")
    axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    text, box = f"expected calibration error {calibration.error:.4f}", {"facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(0.03, 0.95, text, transform=axes.transAxes, va="top", fontsize=8, bbox=box)
    below.bar(centers, calibration.examples, width=0.9 / bins, color=GREY)
    below.set(xlabel="confidence", ylabel="examples")
    for each in (axes, below):
        strip_axes(each)
    legend(axes)
    return figure


def plot_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """Draws misclassified pictures in a grid, each with its class, the class that it was taken for, and the probability of the latter."""
    rows = -(-len(mistakes) // _COLUMNS)
    figure = Figure(figsize=(2.2 * _COLUMNS, 2.5 * rows), layout="constrained")
    for number, mistake in enumerate(mistakes):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        axes.imshow(mistake.picture)
        text = f"{_short(mistake.expected)}\ntaken for {_short(mistake.found)}\n{mistake.confidence:.1%} sure"
        axes.set_title(text, fontsize=8).set_parse_math(False)
        axes.axis("off")
    return figure


def shared_figures(details: Details) -> dict[str, Figure]:
    """Returns the "reliability" plot and, if there are mistakes with pictures, the plot of the "mistakes"."""
    mistakes = [mistake for mistake in details.mistakes if mistake.picture is not None]
    figures = {"reliability": plot_reliability(details.calibration)}
    return figures | ({"mistakes": plot_mistakes(mistakes)} if mistakes else {})


def classification_figures(details: ClassificationDetails) -> dict[str, Figure]:
    """Returns the plots of a classifier's evaluation: "confusion", "reliability" and, if there are any, the worst "mistakes".

    "confusion" is the confusion matrix, or the most frequent confusions if there are more than 50 classes.
    """
    pairs = details.most_confused()
    if len(details.class_names) <= _MAX_CONFUSED:
        figures = {"confusion": plot_confusion(details.confusion, details.class_names)}
    else:
        figures = {"confusion": plot_most_confused(pairs)} if pairs else {}
    return figures | shared_figures(details)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
