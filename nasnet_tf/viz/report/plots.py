"""Plots of searches: each function returns a figure."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nasnet_tf.base.spread import evenly
from nasnet_tf.genotype import Operation
from nasnet_tf.nas.strategies.importance import Importance
from nasnet_tf.nas.trials import pareto
from nasnet_tf.nas.trials.trial import Trial, architectures, measured
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
    plain,
    scatter,
    strip_axes,
)
from nasnet_tf.viz.diagram import LABELS
from nasnet_tf.viz.report import statistics


def plot_rewards(trials: Sequence[Trial], chance: float | None = None) -> Figure:
    """Plots the reward of each finished trial, the best so far, and, from 25 architectures on, the mean of the 25 best so far.

    The means are those of paper figure 6.

    Args:
      trials: trials of one search.
      chance: accuracy of guessing, drawn as a level; None if it is unknown.
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
    """Plots the best reward so far of several searches, and the mean of their best architectures so far.

    The mean is over the best 25 architectures, or the best 5 if any search has fewer than 25. Its curve begins when that many exist.

    Args:
      searches: (name, trials) of each search.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    fewest, most = (bound(len(measured(trials)) for _, trials in searches) for bound in (min, max))
    count = statistics.TOP if fewest >= statistics.TOP else 5
    has_means = most >= count
    left = figure.add_subplot(1, 1 + has_means, 1)
    right = figure.add_subplot(1, 2, 2, sharey=left) if has_means else None
    for (name, trials), color in zip(searches, itertools.cycle(COLORS), strict=False):
        numbers, best, means = _progress(trials, count)
        line(left, numbers, best, color=color, drawstyle="steps-post", label=plain(name))
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
    """Plots accuracy against cost, with the Pareto front as a line (paper figure 5).

    The cost is the objective's if it has one, otherwise the multiply-adds. Larger dots have more parameters.
    """
    known = [trial for trial in architectures(trials) if "mult_adds" in trial.metrics and "parameters" in trial.metrics]
    has_costs = any("cost" in trial.metrics for trial in known)
    unit = 1.0 if has_costs else 1e6
    figure, axes = new_figure("cost of a child" if has_costs else "multiply-adds of a child, millions", "validation accuracy", counts=False)
    largest = max([trial.metrics["parameters"] for trial in known], default=1)
    costs, accuracies = _costs_and_accuracies(known, unit)
    sizes = [16 + 60 * trial.metrics["parameters"] / largest for trial in known]
    scatter(axes, costs, accuracies, s=sizes, color=BLUE, alpha=0.5 if len(known) <= MAX_MARKS else 0.15)
    line(axes, *_costs_and_accuracies(pareto.pareto_front(known), unit), color=AMBER, label="Pareto front")
    legend(axes)
    return figure


def plot_importance(found: Importance, count: int) -> Figure:
    """Plots the `count` most significant effects as bars, the best on top. An error bar spans two standard errors to each side."""
    effects = sorted(found.effects[:count], key=lambda each: each.mean, reverse=found.is_accuracy)  # the last bar is on top
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
    """Plots the fraction of each of the 13 operations in the proposals, in up to `windows` windows of trials."""
    figure, axes = new_figure("trial", "fraction of operations")
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
    """Plots the entropy of the policy over trials, in nats.

    Each dot is an estimate from one proposal. The line shows the values that the updates measured; without updates, it is the running mean
    of `width` estimates.

    Args:
      trials: trials of one search.
      updates: rows of the search's metrics.jsonl.
      maximum: entropy of the uniform policy, drawn as a level; None if it is unknown.
      width: number of estimates in a running mean.
    """
    figure, axes = new_figure("trial", "entropy of the policy, nats")
    numbers, estimates = statistics.entropy_estimates(trials)
    scatter(axes, numbers, estimates, s=14, color=GREY, alpha=0.6, label="one proposal")
    counts, entropies = _of_updates(updates, "entropy").T
    if len(counts):
        line(axes, _numbers_of(counts, trials), entropies, color=BLUE, label="measured at each update")
    else:
        line(axes, numbers[width - 1 :], statistics.smoothed(estimates, width), color=BLUE, label=f"mean of {width}")
    if maximum is not None:
        level(axes, maximum, "uniform policy")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def update_names(updates: Sequence[dict]) -> list[str]:
    """Returns the names of the metrics that at least two updates in a search's metrics.jsonl have, without the entropy."""
    counts = collections.Counter(name for row in updates for name in row if name not in ("kind", "step", "trials", "entropy"))
    return [name for name, count in counts.items() if count > 1]


def plot_update(updates: Sequence[dict], name: str) -> Figure:
    """Plots a metric that the updates of the strategy logged, over the rewards that it had then."""
    figure, axes = new_figure("rewards so far", name.replace("_", " "))
    line(axes, *_of_updates(updates, name).T, color=BLUE)
    return figure


def plot_times(trials: Sequence[Trial]) -> Figure:
    """Plots the seconds of each trial that trained a child, summed over its executions, with a histogram."""
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
    """Plots the accuracy in each evaluation of a child: the best trials in color, and at most `limit` evenly spaced others in gray."""
    figure, axes = new_figure("evaluation", "validation accuracy")
    others = [trial for trial in trials if trial.metrics.get("curve") and trial.reused_from is None]
    others = [others[place] for place in evenly(len(others), limit)]
    axes.add_collection(LineCollection([_curve(trial) for trial in others], colors=GREY, linewidths=0.6, alpha=0.4, rasterized=True))
    axes.autoscale_view()
    known = [trial for trial in best if trial.metrics.get("curve")]
    for trial, color in zip(known, itertools.cycle(COLORS), strict=False):
        axes.plot(*_curve(trial).T, color=color, marker=".", label=f"trial {trial.number}")
    legend(axes)
    return figure


def plot_retraining(pairs: Sequence[tuple[float, float]]) -> Figure:
    """Plots accuracies after retraining against rewards; a pair is (reward in the search, accuracy after retraining)."""
    figure, axes = new_figure("reward in the search", "validation accuracy after retraining")
    scatter(axes, [pair[0] for pair in pairs], [pair[1] for pair in pairs], s=24, color=BLUE)
    return figure


def _costs_and_accuracies(trials: Sequence[Trial], unit: float) -> tuple[np.ndarray, np.ndarray]:
    costs, accuracies = ([each(trial) for trial in trials] for each in (pareto.cost_of, pareto.accuracy_of))
    return np.array(costs, float) / unit, np.array(accuracies, float)


def _progress(trials: Sequence[Trial], count: int = statistics.TOP) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns three arrays with a value for each architecture with a measured reward.

    They are the number of the trial that rewarded it first, the best reward so far, and the mean of the `count` best rewards so far.
    """
    rewarded = measured(trials)
    rewards = [trial.reward for trial in rewarded]
    return np.array([trial.number for trial in rewarded]), statistics.running_best(rewards), statistics.running_top_mean(rewards, count)


def _of_updates(updates: Sequence[dict], name: str) -> np.ndarray:
    """Returns (number of rewarded trials, value) of each update that has the value, float [n, 2]."""
    return np.array([(row["trials"], row[name]) for row in updates if name in row], float).reshape(-1, 2)


def _numbers_of(counts: np.ndarray, trials: Sequence[Trial]) -> np.ndarray:
    """Converts numbers of rewards so far, float [n], to the highest number of a trial that had a reward then, int [n]."""
    rewarded = sorted((trial for trial in trials if trial.status == "finished"), key=lambda trial: trial.finished_time)
    highest = np.maximum.accumulate([trial.number for trial in rewarded])
    return highest[np.minimum(counts.astype(int), len(highest)) - 1]


def _curve(trial: Trial) -> np.ndarray:
    """Returns (number of the evaluation from 1, accuracy) of each evaluation of a child, float [n, 2]."""
    accuracies = trial.metrics["curve"]
    return np.column_stack([np.arange(1, len(accuracies) + 1), accuracies])
