"""Stops the worst children early. The paper's recipe does not do this; it pays off for children with many epochs.

This is the stopping variant of asynchronous successive halving (Li et al., arXiv 1810.05934). Some of a child's evaluations are rungs: the
evaluations 1, 2, 4, 8, ..., as in that paper. At a rung, a child is compared with the earlier children that reached the same rung, and is
stopped if it is among the worst.

Deviation: that paper stops a fixed fraction at every rung, so that more rungs leave fewer children. Here you set the total fraction of
children that are stopped, and the fraction at each rung is computed from it.

The reward of a stopped child is a prediction. It comes from a linear regression of the final accuracy on the accuracy at that rung, over
the children that were trained to the end.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from nasnet_tf.base.values import Count, PositiveShare, at_least, check_fields
from nasnet_tf.nas.children.fidelity import Bar, Fidelity, Request
from nasnet_tf.nas.trials.outcomes import curve_of
from nasnet_tf.nas.trials.trial import Trial

_NUM_PEERS = 200


@dataclasses.dataclass(frozen=True)
class EarlyStopping(Fidelity):
    """Stops a child early if it is among the worst at one of its evaluations.

    Attributes:
      quantile: total fraction of children that are stopped, in (0, 1).
      least_peers: number of children that must have been trained to the end before any child is stopped, 2 or more.
      first_evaluation: the evaluation that is the first rung, 1 or more; each later rung doubles this number.
    """

    quantile: PositiveShare = 0.25
    least_peers: at_least(2) = 20
    first_evaluation: Count = 1

    def __post_init__(self):
        check_fields(self)

    def request(self, trial: Trial, finished: Sequence[Trial], workdir: pathlib.Path) -> Request:
        """Returns a request with the thresholds for the next child, computed from the latest children."""
        trained = [each for each in finished if each.reused_from is None]
        return Request(tuple(self.bars(_latest_curves(trained), _latest_curves([each for each in trained if not each.is_predicted]))))

    def bars(self, curves: Sequence[Sequence[float]], whole: Sequence[Sequence[float]] | None = None) -> list[Bar]:
        """Returns the thresholds that a child must reach, one for each evaluation except the last.

        Evaluations that are not rungs have a threshold of 0. The list is empty while there are too few peers, that is, earlier children.

        Args:
          curves: for each of the latest peers, its accuracies in [0, 1] after each evaluation; curves of stopped peers are shorter.
          whole: the curves of the latest peers that were not stopped, which may include older peers than `curves`; by default, those
            of `curves` that have full length.
        """
        length = max(map(len, [*curves, *(whole or [])]), default=0)
        ended = np.array([curve for curve in (curves if whole is None else whole) if len(curve) == length])
        if len(ended) < self.least_peers:
            return []
        rungs = [self.first_evaluation * 2**k for k in range(length.bit_length()) if self.first_evaluation * 2**k < length]
        share = 1 - (1 - self.quantile) ** (1 / max(1, len(rungs)))
        bars = [Bar(0.0, 0.0, 0.0)] * (length - 1)
        for rung in rungs:
            place = rung - 1
            reached = [curve[place] for curve in curves if len(curve) >= rung]
            bars[place] = Bar(_bar(reached, share), *_line(ended[:, place], ended[:, -1]))
        return bars


def _latest_curves(trials: Sequence[Trial]) -> list[list[float]]:
    """Returns the accuracies after each evaluation of the latest trials that have them, in the order of the trials."""
    curves: Iterator[list[float]] = (curve for trial in reversed(trials) if (curve := curve_of(trial.metrics)))
    return list(itertools.islice(curves, _NUM_PEERS))[::-1]


def _bar(values: Sequence[float], share: float) -> float:
    """Returns a threshold such that the next value is below it with probability `share`; 0 if there are too few values.

    The next value is below the k-th smallest of n with probability k / (n + 1). The default method of np.quantile would give too high a
    threshold.
    """
    if share * (len(values) + 1) < 1:
        return 0.0
    return float(np.quantile(values, share, method="weibull"))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns (slope, intercept) of the least-squares line; the slope is 0 if x is constant."""
    spread = np.mean((x - x.mean()) ** 2)
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean())
