"""Plots of the evaluation of a classifier with several labels per image: precision over recall, and average precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.viz.axes import BLUE, COLORS, legend, plain, strip_axes
from nasnet_tf.viz.evaluations import shared_figures

if TYPE_CHECKING:  # this module imports TensorFlow, which a report does not need
    from nasnet_tf.training.details import MultiLabelDetails

metrics = OnDemand("sklearn.metrics")
_MAX_BARS = 50  # largest number of classes for which bars are drawn


def plot_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Plots precision over recall, with one curve per class and a legend for up to six classes.

    Args:
      curves: {class: (recalls, precisions)}, float [n] each, recalls ascending.
    """
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (recalls, precisions)) in enumerate(curves.items()):
        axes.step(recalls, precisions, where="pre", color=COLORS[number % len(COLORS)], linewidth=1.2, label=plain(name))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    strip_axes(axes)
    if len(curves) <= len(COLORS):
        legend(axes)
    return figure


def plot_average_precision(precisions: Mapping[str, float]) -> Figure:
    """Plots a bar for the average precision of each class, the best one at the top.

    Args:
      precisions: {class: average precision, in [0, 1]}.
    """
    names = sorted(precisions, key=lambda name: -precisions[name])
    figure = Figure(figsize=(5.6, 1.2 + 0.2 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(names)), [precisions[name] for name in names], color=BLUE)
    axes.set_yticks(range(len(names)), map(plain, names), fontsize=8)
    axes.set(xlabel="average precision", xlim=(0, 1))
    axes.invert_yaxis()
    strip_axes(axes)
    return figure


def label_figures(details: MultiLabelDetails) -> dict[str, Figure]:
    """Returns the plots of an evaluation, without the classes that no image has.

    These are "precision recall", "average precision" if there are at most 50 classes, "reliability" and, if there are any, "mistakes".
    """
    curves, precisions = {}, {}
    for row, labels, probabilities in zip(details.by_class(), details.labels.T, details.probabilities.T, strict=True):
        if row.examples:
            precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
            curves[row.name] = recall[::-1], precision[::-1]
            precisions[row.name] = row.average_precision
    figures = {"precision recall": plot_precision_recall(curves)}
    bars = {"average precision": plot_average_precision(precisions)} if len(precisions) <= _MAX_BARS else {}
    return figures | bars | shared_figures(details)
