"""What `evaluate` draws of a task with several labels an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.viz.axes import BLUE, COLORS, legend, strip_axes
from nasnet_tf.viz.evaluations import shared_figures

if TYPE_CHECKING:  # they import TensorFlow, which a report does without
    from nasnet_tf.training.details import MultiLabelDetails

metrics = OnDemand("sklearn.metrics")
_MAX_BARS = 50  # classes that bars are drawn of


def plot_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Precision over recall, {class: (recalls, precisions)}; those of a few classes have names."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (recalls, precisions)) in enumerate(curves.items()):
        axes.step(recalls, precisions, where="pre", color=COLORS[number % len(COLORS)], linewidth=1.2, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    strip_axes(axes)
    if len(curves) <= len(COLORS):
        legend(axes)
    return figure


def plot_average_precision(precisions: Mapping[str, float]) -> Figure:
    """A bar for the average precision of each class, the best first."""
    names = sorted(precisions, key=lambda name: -precisions[name])
    figure = Figure(figsize=(5.6, 1.2 + 0.2 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(names)), [precisions[name] for name in names], color=BLUE)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="average precision", xlim=(0, 1))
    axes.invert_yaxis()
    strip_axes(axes)
    return figure


def label_figures(details: MultiLabelDetails) -> dict[str, Figure]:
    """Precision over recall, and the average precision of each class if there are few, of the classes that some image has; and the rest."""
    curves, precisions = {}, {}
    for row, labels, probabilities in zip(details.by_class(), details.labels.T, details.probabilities.T, strict=True):
        if row.examples:
            precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
            curves[row.name] = recall[::-1], precision[::-1]
            precisions[row.name] = row.average_precision
    figures = {"precision recall": plot_precision_recall(curves)}
    bars = {"average precision": plot_average_precision(precisions)} if len(precisions) <= _MAX_BARS else {}
    return figures | bars | shared_figures(details)
