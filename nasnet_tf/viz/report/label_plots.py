"""What `evaluate` draws of a task with several labels an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.viz.axes import BLUE, COLORS, legend, strip_axes

if TYPE_CHECKING:  # they import TensorFlow, which a report does without
    from nasnet_tf.data.several_labels import MultiLabelData
    from nasnet_tf.training.multi_label_evaluation import MultiLabelEvaluator

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


def label_figures(evaluator: MultiLabelEvaluator, data: MultiLabelData) -> dict[str, Figure]:
    """Precision over recall, and the average precision of each class if there are few; of the classes that some image has."""
    curves, precisions = {}, {}
    for name, labels, probabilities in zip(data.class_names, evaluator.labels.T, evaluator.probabilities.T, strict=True):
        if labels.any():
            precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
            curves[name] = recall[::-1], precision[::-1]
            precisions[name] = float(metrics.average_precision_score(labels, probabilities))
    figures = {"precision recall": plot_precision_recall(curves)}
    return figures | ({"average precision": plot_average_precision(precisions)} if len(precisions) <= _MAX_BARS else {})
