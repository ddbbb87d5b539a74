"""Early stopping of hopeless children: off in the paper's recipe, worth it where children have many epochs.

Asynchronous successive halving (Li et al., arXiv 1810.05934) in its stopping form: at some of a child's evaluations, the rungs, it is
compared with the earlier children that reached the same rung, and stopped if it is among the worst. Rungs are evaluations 1, 2, 4, 8, ...,
as there. Deviation: there a fixed fraction is stopped at every rung, so that fewer are left the more rungs there are. Here the fraction
that is stopped in all is given, and the fraction of each rung follows from it.

The reward of a child that was stopped is predicted, by the line through (accuracy then, accuracy in the end) of the children that were
trained to their end.
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
    """When a child is hopeless.

    Attributes:
      quantile: fraction of children that are stopped, in all, in (0, 1).
      least_peers: children that must have been trained to their end before anyone is stopped, 2 or more.
      first_evaluation: the first rung, 1 or more.
    """

    quantile: PositiveShare = 0.25
    least_peers: at_least(2) = 20
    first_evaluation: Count = 1

    def __post_init__(self):
        check_fields(self)

    def request(self, trial: Trial, finished: Sequence[Trial], workdir: pathlib.Path) -> Request:
        """Returns the bars that the latest children set for the next one."""
        trained = [each for each in finished if each.reused_from is None]
        return Request(tuple(self.bars(_latest_curves(trained), _latest_curves([each for each in trained if not each.is_predicted]))))

    def bars(self, curves: Sequence[Sequence[float]], whole: Sequence[Sequence[float]] | None = None) -> list[Bar]:
        """Returns what a child must reach: a bar for each evaluation but the last, 0 off the rungs; none while there are too few peers.

        Args:
          curves: accuracies in [0, 1] of the latest peers after each of their evaluations; peers that were stopped have shorter ones.
          whole: the same of the latest peers that were not stopped, which in time are other ones; by default, those of full length
            among `curves`.
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
    """Returns a bound that the next of such values is below with this probability; 0 while there are too few to tell.

    The k-th smallest of n is above the next one with probability k / (n + 1); np.quantile's default would be above too many.
    """
    if share * (len(values) + 1) < 1:
        return 0.0
    return float(np.quantile(values, share, method="weibull"))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) of the least squares line; flat where x does not vary."""
    spread = np.mean((x - x.mean()) ** 2)
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean())
