"""Searches and trainings as plots: data in, a figure out."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nasnet_tf.genotype import Operation
from nasnet_tf.nas.journal import Trial, architectures
from nasnet_tf.viz import statistics
from nasnet_tf.viz.diagram import LABELS

_MAX_MARKS = 500  # more become one image, and lines are thinned: a page of 20,000 trials stays small
_GREY, _BLUE, _AMBER = "#64748b", "#2563eb", "#d97706"
_COLORS = (_BLUE, _AMBER, "#059669", "#db2777", "#7c3aed", "#57534e")


def plot_rewards(trials: Sequence[Trial]) -> Figure:
    """Reward of each finished trial, the best so far, and the mean of the 25 best architectures so far (paper figure 6)."""
    figure, axes = _figure("trial", "validation accuracy")
    finished = [trial for trial in trials if trial.status == "finished"]
    is_predicted = ["stopped_epoch" in trial.metrics for trial in finished]
    for predicted, color, label in ((False, _GREY, "trial"), (True, "#8b5cf6", "stopped early, predicted")):
        chosen = [trial for trial, stopped in zip(finished, is_predicted, strict=True) if stopped == predicted]
        if chosen:
            _scatter(axes, [trial.number for trial in chosen], [trial.reward for trial in chosen], s=14, color=color, label=label)
    numbers, best, means = _progress(trials)
    _line(axes, numbers, best, color=_BLUE, drawstyle="steps-post", label="best so far")
    _line(axes, numbers, means, color=_AMBER, label=f"mean of the best {statistics.TOP}")
    _legend(axes)
    return figure


def plot_comparison(searches: Sequence[tuple[str, Sequence[Trial]]]) -> Figure:
    """The best so far, and the mean of the 25 best architectures so far, of several searches; a search is (name, trials)."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left = figure.add_subplot(1, 2, 1)
    right = figure.add_subplot(1, 2, 2, sharey=left)
    for (name, trials), color in zip(searches, _repeated(_COLORS, len(searches)), strict=True):
        numbers, best, means = _progress(trials)
        _line(left, numbers, best, color=color, drawstyle="steps-post", label=name)
        _line(right, numbers, means, color=color)
    left.set(xlabel="trial", ylabel="validation accuracy, best so far")
    right.set(xlabel="trial", ylabel=f"mean of the best {statistics.TOP} so far")
    for axes in (left, right):
        strip_axes(axes)
    figure.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=3)
    return figure


def plot_accuracy_against_cost(trials: Sequence[Trial]) -> Figure:
    """Reward against multiply-adds; larger dots have more parameters (paper figure 5)."""
    known = [trial for trial in architectures(trials) if "mult_adds" in trial.metrics and "parameters" in trial.metrics]
    figure, axes = _figure("multiply-adds of a child, millions", "validation accuracy")
    largest = max([trial.metrics["parameters"] for trial in known], default=1)
    costs, rewards = [trial.metrics["mult_adds"] / 1e6 for trial in known], [trial.reward for trial in known]
    sizes = [10 + 60 * trial.metrics["parameters"] / largest for trial in known]
    _scatter(axes, costs, rewards, s=sizes, color=_BLUE, alpha=0.5 if len(known) <= _MAX_MARKS else 0.15)
    return figure


def plot_operation_frequencies(trials: Sequence[Trial], windows: int = 20) -> Figure:
    """Shares of the 13 operations among the proposals, over time."""
    figure, axes = _figure("trial", "share of operations")
    starts, shares = statistics.operation_shares(trials, windows)
    width = starts[1] - starts[0] if len(starts) > 1 else max(1, len(trials))
    bottom = np.zeros(len(starts))
    for index, (operation, label) in enumerate(LABELS.items()):
        heights = np.array([share.get(Operation.Name(operation), 0.0) for share in shares])
        axes.bar(starts, heights, width, bottom, align="edge", color=colormaps["tab20"](index / 20), label=label, linewidth=0)
        bottom += heights
    axes.set(xlim=(0, max(1, len(trials))), ylim=(0, 1))
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_entropy(trials: Sequence[Trial], width: int = 20) -> Figure:
    """Entropy of the policy over trials, in nats, estimated from the proposals; the line is the mean of `width` of them."""
    figure, axes = _figure("trial", "entropy of the policy, nats")
    numbers, estimates = statistics.entropy_estimates(trials)
    _scatter(axes, numbers, estimates, s=8, color=_GREY, alpha=0.6, label="one proposal")
    _line(axes, numbers[width - 1 :], statistics.smoothed(estimates, width), color=_BLUE, label=f"mean of {width}")
    _legend(axes)
    return figure


def plot_times(trials: Sequence[Trial]) -> Figure:
    """Seconds of each trial that trained a child: over trials, and how often which."""
    trained = [trial for trial in trials if trial.seconds > 0]
    seconds = np.array([trial.seconds for trial in trained])
    figure, axes = _figure("trial", "seconds of a child")
    _scatter(axes, [trial.number for trial in trained], seconds, s=8, color=_BLUE, alpha=0.5)
    sideways = axes.inset_axes((1.02, 0, 0.2, 1), sharey=axes)
    if len(seconds) and seconds.max() > 20 * seconds.min():
        axes.set_yscale("log")
        bins = np.geomspace(seconds.min(), seconds.max(), 31)
    else:
        bins = 30
    sideways.hist(seconds, bins, orientation="horizontal", color=_GREY)
    sideways.axis("off")
    return figure


def plot_learning_curves(trials: Sequence[Trial], best: Sequence[Trial], limit: int = 200) -> Figure:
    """Accuracy in each evaluation of a child: of the best, and in grey of at most `limit` others, evenly taken."""
    figure, axes = _figure("evaluation", "validation accuracy")
    others = [trial for trial in trials if trial.metrics.get("curve") and trial.reused_from is None]
    others = [others[place] for place in _thinned(len(others), limit)]
    axes.add_collection(LineCollection([_curve(trial) for trial in others], colors=_GREY, linewidths=0.6, alpha=0.4, rasterized=True))
    axes.autoscale_view()
    known = [trial for trial in best if trial.metrics.get("curve")]
    for trial, color in zip(known, _repeated(_COLORS, len(known)), strict=True):
        axes.plot(*_curve(trial).T, color=color, marker=".", label=f"trial {trial.number}")
    _legend(axes)
    return figure


def plot_retraining(pairs: Sequence[tuple[float, float]]) -> Figure:
    """What retraining made of rewards; a pair is (reward in the search, accuracy retrained)."""
    figure, axes = _figure("reward in the search", "validation accuracy, retrained")
    _scatter(axes, [pair[0] for pair in pairs], [pair[1] for pair in pairs], s=24, color=_BLUE)
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


def _progress(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the trials that rewarded an architecture first, the best so far, the mean of the best so far."""
    rewarded = architectures(trials)
    rewards = [trial.reward for trial in rewarded]
    return np.array([trial.number for trial in rewarded]), statistics.running_best(rewards), statistics.running_top_mean(rewards)


def _curve(trial: Trial) -> np.ndarray:
    accuracies = trial.metrics["curve"]
    return np.column_stack([np.arange(1, len(accuracies) + 1), accuracies])


def _scatter(axes, x, y, **style) -> None:
    axes.scatter(x, y, edgecolors="none", rasterized=len(x) > _MAX_MARKS, **style)


def _line(axes, x: np.ndarray, y: np.ndarray, **style) -> None:
    kept = _thinned(len(x), _MAX_MARKS)
    axes.plot(x[kept], y[kept], **style)


def _thinned(length: int, limit: int) -> np.ndarray:
    """At most `limit` places in a list, evenly, with the first and the last."""
    return np.unique(np.linspace(0, length - 1, min(length, limit)).round().astype(int))


def _repeated(colors: Sequence[str], count: int) -> list[str]:
    return [colors[index % len(colors)] for index in range(count)]


def _legend(axes) -> None:
    """Above the plot, where it covers no data."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)


def _figure(xlabel: str, ylabel: str):
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
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
