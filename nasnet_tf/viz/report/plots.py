"""Searches as plots: data in, a figure out."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nasnet_tf.genotype import Operation
from nasnet_tf.nas.strategies.importance import Importance
from nasnet_tf.nas.trials import pareto
from nasnet_tf.nas.trials.trial import Trial, architectures
from nasnet_tf.viz.axes import (
    AMBER,
    BLUE,
    COLORS,
    GREY,
    MAX_MARKS,
    PURPLE,
    legend,
    level,
    line,
    new_figure,
    scatter,
    strip_axes,
    thinned,
)
from nasnet_tf.viz.diagram import LABELS
from nasnet_tf.viz.report import statistics


def plot_rewards(trials: Sequence[Trial], chance: float | None = None) -> Figure:
    """Reward of each finished trial, the best so far, and, from 25 architectures on, the mean of the 25 best so far (paper figure 6).

    Args:
      chance: what guessing would give, where that is known.
    """
    figure, axes = new_figure("trial", "validation accuracy")
    finished = [trial for trial in trials if trial.status == "finished"]
    is_predicted = ["stopped_epoch" in trial.metrics for trial in finished]
    for predicted, color, label in ((False, GREY, "trial"), (True, PURPLE, "stopped early, predicted")):
        chosen = [trial for trial, stopped in zip(finished, is_predicted, strict=True) if stopped == predicted]
        if chosen:
            scatter(axes, [trial.number for trial in chosen], [trial.reward for trial in chosen], s=26, alpha=0.7, color=color, label=label)
    numbers, best, means = _progress(trials)
    line(axes, numbers, best, color=BLUE, drawstyle="steps-post", label="best so far")
    line(axes, numbers, means, color=AMBER, label=f"mean of the best {statistics.TOP}")
    if chance is not None:
        level(axes, chance, "chance")
    legend(axes)
    return figure


def plot_comparison(searches: Sequence[tuple[str, Sequence[Trial]]]) -> Figure:
    """The best so far of several searches, and the mean of the best architectures so far; a search is (name, trials).

    The mean is of 25, or of 5 where a search has fewer; it begins when there are so many.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    fewest, most = (bound(len(architectures(trials)) for _, trials in searches) for bound in (min, max))
    count = statistics.TOP if fewest >= statistics.TOP else 5
    has_means = most >= count
    left = figure.add_subplot(1, 1 + has_means, 1)
    right = figure.add_subplot(1, 2, 2, sharey=left) if has_means else None
    for (name, trials), color in zip(searches, itertools.cycle(COLORS), strict=False):
        numbers, best, means = _progress(trials, count)
        line(left, numbers, best, color=color, drawstyle="steps-post", label=name)
        if has_means:
            line(right, numbers, means, color=color)
    left.set(ylabel="validation accuracy, best so far")
    if has_means:
        right.set(ylabel=f"mean of the best {count} so far")
    for axes in figure.axes:
        axes.set_xlabel("trial")
        strip_axes(axes, counts=True)
    figure.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=3)
    return figure


def plot_accuracy_against_cost(trials: Sequence[Trial]) -> Figure:
    """Accuracy against multiply-adds, or against what the objective counts; larger dots have more parameters (paper figure 5).

    The line is the Pareto front.
    """
    known = [trial for trial in architectures(trials) if "mult_adds" in trial.metrics and "parameters" in trial.metrics]
    has_costs = any("cost" in trial.metrics for trial in known)
    unit = 1.0 if has_costs else 1e6
    figure, axes = new_figure("cost of a child" if has_costs else "multiply-adds of a child, millions", "validation accuracy", counts=False)
    largest = max([trial.metrics["parameters"] for trial in known], default=1)
    costs, accuracies = _costs_and_accuracies(known, unit)
    sizes = [16 + 60 * trial.metrics["parameters"] / largest for trial in known]
    scatter(axes, costs, accuracies, s=sizes, color=BLUE, alpha=0.5 if len(known) <= MAX_MARKS else 0.15)
    line(axes, *_costs_and_accuracies(pareto.pareto_front(known), unit), color=AMBER, label="no other one beats these in both")
    legend(axes)
    return figure


def plot_importance(found: Importance, count: int) -> Figure:
    """The surest effects as bars with two standard errors, the best on top."""
    effects = sorted(found.effects[:count], key=lambda each: each.mean, reverse=found.is_accuracy)  # the last one is on top
    figure = Figure(figsize=(7.2, 0.8 + 0.2 * len(effects)), layout="constrained")
    axes = figure.add_subplot()
    means, errors = np.array([(each.mean, 2 * each.error) for each in effects]).T * (100 if found.is_accuracy else 1)
    is_good = means < 0 if found.is_accuracy else means > 0
    colors = np.where(abs(means) < errors, GREY, np.where(is_good, BLUE, AMBER))
    axes.barh([each.choice.replace("_cell", "") for each in effects], means, xerr=errors, color=colors, ecolor=GREY, height=0.6)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel(found.unit)
    axes.tick_params(axis="y", labelsize=8)
    strip_axes(axes)
    return figure


def plot_operation_frequencies(trials: Sequence[Trial], windows: int = 20) -> Figure:
    """Shares of the 13 operations among the proposals, over time."""
    figure, axes = new_figure("trial", "share of operations")
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


def plot_entropy(trials: Sequence[Trial], updates: Sequence[dict] = (), maximum: float | None = None, width: int = 20) -> Figure:
    """Entropy of the policy over trials, in nats, from zero.

    Each dot estimates it from one proposal; the line is what the updates measured or, without them, the mean of `width` proposals.

    Args:
      updates: rows of the search's metrics.jsonl.
      maximum: entropy of the uniform policy, where that is known.
    """
    figure, axes = new_figure("trial", "entropy of the policy, nats")
    numbers, estimates = statistics.entropy_estimates(trials)
    scatter(axes, numbers, estimates, s=14, color=GREY, alpha=0.6, label="one proposal")
    measured = _of_updates(updates, "entropy")
    if len(measured):
        line(axes, *measured.T, color=BLUE, label="measured at each update")
    else:
        line(axes, numbers[width - 1 :], statistics.smoothed(estimates, width), color=BLUE, label=f"mean of {width}")
    if maximum is not None:
        level(axes, maximum, "of the uniform policy")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def update_names(updates: Sequence[dict]) -> list[str]:
    """Returns the names of the numbers, besides the entropy, that more than one update in a search's metrics.jsonl has."""
    counts = collections.Counter(name for row in updates for name in row if name not in ("kind", "step", "trials", "entropy"))
    return [name for name, count in counts.items() if count > 1]


def plot_update(updates: Sequence[dict], name: str) -> Figure:
    """One number that every update of the strategy told, over trials."""
    figure, axes = new_figure("trial", name.replace("_", " "))
    line(axes, *_of_updates(updates, name).T, color=BLUE)
    return figure


def plot_times(trials: Sequence[Trial]) -> Figure:
    """Seconds of each trial that trained a child, all its executions: over trials, and how often which."""
    trained = [trial for trial in trials if trial.seconds > 0]
    seconds = np.array([trial.seconds for trial in trained])
    figure, axes = new_figure("trial", "seconds of a child")
    scatter(axes, [trial.number for trial in trained], seconds, s=26, color=BLUE, alpha=0.6)
    if len(seconds) > 1:
        sideways = axes.inset_axes((1.03, 0, 0.22, 1), sharey=axes)
        is_wide = seconds.max() > 20 * seconds.min()
        axes.set_yscale("log" if is_wide else "linear")
        sideways.hist(seconds, np.geomspace(seconds.min(), seconds.max(), 31) if is_wide else 30, orientation="horizontal", color=GREY)
        sideways.set_xlabel("trials")
        sideways.tick_params(labelleft=False)
        strip_axes(sideways, counts=True)
    return figure


def plot_learning_curves(trials: Sequence[Trial], best: Sequence[Trial], limit: int = 200) -> Figure:
    """Accuracy in each evaluation of a child: of the best, and in grey of at most `limit` others, evenly taken."""
    figure, axes = new_figure("evaluation", "validation accuracy")
    others = [trial for trial in trials if trial.metrics.get("curve") and trial.reused_from is None]
    others = [others[place] for place in thinned(len(others), limit)]
    axes.add_collection(LineCollection([_curve(trial) for trial in others], colors=GREY, linewidths=0.6, alpha=0.4, rasterized=True))
    axes.autoscale_view()
    known = [trial for trial in best if trial.metrics.get("curve")]
    for trial, color in zip(known, itertools.cycle(COLORS), strict=False):
        axes.plot(*_curve(trial).T, color=color, marker=".", label=f"trial {trial.number}")
    legend(axes)
    return figure


def plot_retraining(pairs: Sequence[tuple[float, float]]) -> Figure:
    """What retraining made of rewards; a pair is (reward in the search, accuracy retrained)."""
    figure, axes = new_figure("reward in the search", "validation accuracy, retrained")
    scatter(axes, [pair[0] for pair in pairs], [pair[1] for pair in pairs], s=24, color=BLUE)
    return figure


def _costs_and_accuracies(trials: Sequence[Trial], unit: float) -> tuple[np.ndarray, np.ndarray]:
    costs, accuracies = ([each(trial) for trial in trials] for each in (pareto.cost_of, pareto.accuracy_of))
    return np.array(costs, float) / unit, np.array(accuracies, float)


def _progress(trials: Sequence[Trial], count: int = statistics.TOP) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the trials that rewarded an architecture first, the best so far, the mean of the best so far."""
    rewarded = architectures(trials)
    rewards = [trial.reward for trial in rewarded]
    return np.array([trial.number for trial in rewarded]), statistics.running_best(rewards), statistics.running_top_mean(rewards, count)


def _of_updates(updates: Sequence[dict], name: str) -> np.ndarray:
    """(rewarded trials, value) of each update, float [n, 2]."""
    return np.array([(row["trials"], row[name]) for row in updates if name in row], float).reshape(-1, 2)


def _curve(trial: Trial) -> np.ndarray:
    accuracies = trial.metrics["curve"]
    return np.column_stack([np.arange(1, len(accuracies) + 1), accuracies])
