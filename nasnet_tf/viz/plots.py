"""Searches and trainings as plots: data in, a figure out."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.nas.journal import Trial
from nasnet_tf.viz.diagram import LABELS

_TOP = 25


def plot_rewards(trials: Sequence[Trial]) -> Figure:
    """Reward of each finished trial, the best so far, and the mean of the 25 best so far (paper figure 6)."""
    finished = [trial for trial in trials if trial.status == "finished"]
    figure, axes = _figure("trial", "validation accuracy")
    numbers, rewards = [trial.number for trial in finished], [trial.reward for trial in finished]
    axes.scatter(numbers, rewards, s=18, color="#94a3b8", label="trial")
    best = [sorted(rewards[: count + 1])[::-1] for count in range(len(rewards))]
    axes.plot(numbers, [ranked[0] for ranked in best], color="#2563eb", drawstyle="steps-post", label="best so far")
    means = [sum(ranked[:_TOP]) / len(ranked[:_TOP]) for ranked in best]
    axes.plot(numbers, means, color="#f59e0b", label=f"mean of the best {_TOP}")
    if finished:
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def plot_accuracy_against_cost(trials: Sequence[Trial]) -> Figure:
    """Reward against multiply-adds; larger dots have more parameters (paper figure 5)."""
    known = [trial for trial in trials if trial.status == "finished" and "mult_adds" in trial.metrics and "parameters" in trial.metrics]
    figure, axes = _figure("multiply-adds of a child, millions", "validation accuracy")
    largest = max([trial.metrics["parameters"] for trial in known], default=1)
    axes.scatter(
        [trial.metrics["mult_adds"] / 1e6 for trial in known],
        [trial.reward for trial in known],
        s=[10 + 80 * trial.metrics["parameters"] / largest for trial in known],
        color="#2563eb",
        alpha=0.5,
        edgecolors="none",
    )
    return figure


def plot_operation_frequencies(trials: Sequence[Trial], windows: int = 10) -> Figure:
    """Shares of the 13 operations among the proposals, over time."""
    figure, axes = _figure("trial", "share of operations")
    size = max(1, -(-len(trials) // windows))
    starts = list(range(0, len(trials), size))
    shares = {operation: [] for operation in LABELS}
    for start in starts:
        used = [operation for trial in trials[start : start + size] for operation in _operations(trial)]
        for operation, row in shares.items():
            row.append(used.count(operation) / max(1, len(used)))
    bottom = [0.0] * len(starts)
    colors = _colors(len(LABELS))
    for operation, color in zip(shares, colors, strict=True):
        axes.bar(starts, shares[operation], size, bottom, align="edge", color=color, label=LABELS[operation], linewidth=0)
        bottom = [below + share for below, share in zip(bottom, shares[operation], strict=True)]
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_training_curves(rows: Sequence[dict]) -> Figure:
    """Loss and accuracy over epochs, of rows of metrics.jsonl."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    for place, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        for kind, color in (("train", "#94a3b8"), ("evaluation", "#2563eb")):
            points = [(row["epoch"], row[name]) for row in rows if row["kind"] == kind and name in row]
            axes.plot(
                *zip(*points, strict=True) if points else ([], []), color=color, marker="." if kind == "evaluation" else "", label=kind
            )
        axes.set(xlabel="epoch", ylabel=name)
        strip_axes(axes)
        axes.legend(frameon=False, fontsize=8)
    return figure


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Examples of each class (row) by the class they were taken for (column), int [num_classes, num_classes]; colours show shares."""
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
    axes.set_xticks(places, class_names, rotation=90, fontsize=8)
    axes.set_yticks(places, class_names, fontsize=8)
    axes.set(xlabel="taken for", ylabel="class")
    return figure


def _operations(trial: Trial) -> list[int]:
    cells = (trial.genotype.normal_cell, trial.genotype.reduction_cell)
    return [side.operation for cell in cells for block in cell.blocks for side in (block.left, block.right)]


def _colors(count: int) -> list:
    from matplotlib import colormaps

    return [colormaps["tab20"](index / 20) for index in range(count)]


def _figure(xlabel: str, ylabel: str):
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    strip_axes(axes)
    return figure, axes


def strip_axes(axes) -> None:
    """The look that all plots share."""
    axes.grid(color="#e4e4e7", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
