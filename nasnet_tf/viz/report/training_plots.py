"""Plots of trainings and tunings: each function returns a figure."""

from __future__ import annotations

import collections
import math
import numbers
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.viz.axes import AMBER, BLUE, GREY, legend, level, line, new_figure, scatter

_NO_VALUES = ("step", "epoch", "examples")
_RAW = "raw_"  # prefix of metrics measured with the plain weights rather than with their averages


def curve_names(rows: Sequence[dict]) -> list[str]:
    """Returns the names of the metrics that rows of metrics.jsonl hold more than once: the loss, accuracies, then others."""
    counts = collections.Counter(name for row in rows for name in row if _is_number(row[name]) and name not in _NO_VALUES)
    whole = [name for name in counts if name.removeprefix(_RAW) == name or name.removeprefix(_RAW) not in counts]
    drawn = [name for name in whole if counts[name] + counts[_RAW + name] > 1]
    return sorted(drawn, key=lambda name: (name != "loss", "accuracy" not in name))


def plot_curve(rows: Sequence[dict], name: str, chance: float | None = None) -> Figure:
    """Plots a metric over epochs: in training, in evaluations, and in evaluations with plain rather than averaged weights.

    Args:
      rows: rows of metrics.jsonl.
      name: name of the metric.
      chance: value that guessing gives, drawn as a level; None if it is unknown.
    """
    figure, axes = new_figure("epoch", name.replace("_", " "))
    curves = (
        ("train", name, GREY, "training"),
        ("evaluation", name, BLUE, "evaluation"),
        ("evaluation", _RAW + name, AMBER, "without averages"),
    )
    for kind, key, color, label in curves:
        points = [(row["epoch"], row[key]) for row in rows if row["kind"] == kind and _is_number(row.get(key))]
        if points:
            line(axes, *np.array(points, float).T, color=color, label=label)
            if kind == "evaluation" and len(points) < 40:
                scatter(axes, *zip(*points, strict=True), color=color, s=16)
    if chance is not None:
        level(axes, chance, "chance")
    legend(axes)
    return figure


def plot_tuning(accuracies: Sequence[tuple[int, float]]) -> Figure:
    """Plots the accuracy of each trial, and the best so far; a pair is (trial, accuracy)."""
    figure, axes = new_figure("trial", "validation accuracy")
    numbered = np.array(accuracies, float).reshape(-1, 2)
    scatter(axes, *numbered.T, s=24, color=GREY, label="trial")
    line(axes, numbered[:, 0], np.maximum.accumulate(numbered[:, 1]), color=BLUE, drawstyle="steps-post", label="best so far")
    legend(axes)
    return figure


def plot_tuned(name: str, values: Sequence[float], accuracies: Sequence[float]) -> Figure:
    """Plots the accuracies of trials against the values of a tuned number."""
    figure, axes = new_figure(name, "validation accuracy", counts=all(value == int(value) for value in values))
    scatter(axes, values, accuracies, s=24, color=BLUE)
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_xscale("log")
    return figure


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
