"""Statistics of a search: pure functions of trials and rewards."""

import heapq
import re
from collections.abc import Sequence

import numpy as np

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.trials.trial import Trial

TOP = 25  # paper figure 6


def top_mean(rewards: Sequence[float], count: int) -> float | None:
    """Returns the mean of the `count` highest rewards; None if there are fewer."""
    return float(np.mean(heapq.nlargest(count, rewards))) if len(rewards) >= count else None


def running_best(rewards: Sequence[float]) -> np.ndarray:
    """Returns the highest reward so far, float [len(rewards)]."""
    return np.maximum.accumulate(np.asarray(rewards, float))


def running_top_mean(rewards: Sequence[float], count: int = TOP) -> np.ndarray:
    """Returns the mean of the `count` highest rewards so far, float [len(rewards)]; NaN while there are fewer (paper figure 6)."""
    highest: list[float] = []
    means, total = [], 0.0
    for reward in rewards:
        total += reward
        if len(highest) < count:
            heapq.heappush(highest, reward)
        else:
            total -= heapq.heappushpop(highest, reward)
        means.append(total / count if len(highest) == count else np.nan)
    return np.array(means)


def entropy_estimates(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the trial numbers and an entropy estimate for each trial, in nats; both are empty for strategies without a policy.

    The estimate is minus the log-probability of the proposal; its expectation is the entropy of the policy.
    """
    drawn = [trial for trial in trials if trial.log_probs]
    return np.array([trial.number for trial in drawn]), np.array([-sum(trial.log_probs) for trial in drawn])


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Returns the running mean of `width` values, float [max(0, len(values) - width + 1)]."""
    return np.convolve(values, np.full(width, 1 / width), mode="valid") if len(values) >= width else np.empty(0)


def operation_shares(trials: Sequence[Trial], windows: int) -> tuple[list[int], list[dict[str, float]]]:
    """Returns the index of the first trial of each window, and {operation: its fraction of all operations in the window} of each window."""
    size = max(1, -(-len(trials) // windows))
    starts = list(range(0, len(trials), size))
    shares = []
    for start in starts:
        # Names are read from the text: parsing 20,000 genotypes takes longer than the rest of a page.
        used = [name for trial in trials[start : start + size] for name in re.findall(r"operation: (\w+)", trial.text)]
        shares.append({name: used.count(name) / len(used) for name in set(used)})
    return starts, shares


def failures(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Returns failed and infeasible trials grouped by reason, the largest group first. Numbers in reasons are ignored."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.reason:
            groups.setdefault((trial.status, kind_of(trial.reason)), []).append(trial)
    return sorted(groups.values(), key=len, reverse=True)


def kind_of(reason: str) -> str:
    """Returns a reason with its numbers replaced: "died (9)" -> "died (N)"."""
    return re.sub(r"\d+", "N", reason)


def largest_entropy(space: SearchSpace) -> float:
    """Returns the entropy of the policy that draws every decision uniformly, in nats."""
    return float(np.sum(np.log(space.sizes)))
