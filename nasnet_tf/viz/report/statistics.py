"""What a search's trials say, as numbers: pure functions of lists of trials."""

import heapq
import re
from collections.abc import Sequence

import numpy as np

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.trials.trial import Trial

TOP = 25  # paper figure 6


def top_mean(rewards: Sequence[float], count: int) -> float | None:
    """The mean of the `count` highest; None where there are fewer."""
    return float(np.mean(heapq.nlargest(count, rewards))) if len(rewards) >= count else None


def running_best(rewards: Sequence[float]) -> np.ndarray:
    """The highest so far, [len(rewards)]."""
    return np.maximum.accumulate(np.asarray(rewards, float))


def running_top_mean(rewards: Sequence[float], count: int = TOP) -> np.ndarray:
    """The mean of the `count` highest so far, [len(rewards)], NaN while there are fewer; paper figure 6."""
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
    """Trial numbers and minus the log-probability each proposal was drawn with, in nats: its expectation is the policy's entropy.

    Empty for strategies that draw from no policy.
    """
    drawn = [trial for trial in trials if trial.log_probs]
    return np.array([trial.number for trial in drawn]), np.array([-sum(trial.log_probs) for trial in drawn])


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Means of `width` values in a row, [max(0, len(values) - width + 1)]."""
    return np.convolve(values, np.full(width, 1 / width), mode="valid") if len(values) >= width else np.empty(0)


def operation_shares(trials: Sequence[Trial], windows: int) -> tuple[list[int], list[dict[str, float]]]:
    """The first trial of each window, and the share of each operation, by name, among all that were proposed in it."""
    size = max(1, -(-len(trials) // windows))
    starts = list(range(0, len(trials), size))
    shares = []
    for start in starts:
        # Names are taken from the text: to parse 20,000 genotypes takes longer than all the rest of a page.
        used = [name for trial in trials[start : start + size] for name in re.findall(r"operation: (\w+)", trial.text)]
        shares.append({name: used.count(name) / len(used) for name in set(used)})
    return starts, shares


def failures(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Failed and infeasible trials in groups of one reason, the largest first; reasons that differ in numbers only are one."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.reason:
            groups.setdefault((trial.status, kind_of(trial.reason)), []).append(trial)
    return sorted(groups.values(), key=len, reverse=True)


def kind_of(reason: str) -> str:
    """A reason without its numbers: "died (9)" -> "died (N)"."""
    return re.sub(r"\d+", "N", reason)


def largest_entropy(space: SearchSpace) -> float:
    """Entropy of the policy that draws every decision uniformly, in nats."""
    return float(np.sum(np.log(space.sizes)))
