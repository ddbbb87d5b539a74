"""Not training to the end what is hopeless: off in the paper's recipe, worth it where children have many epochs.

Asynchronous successive halving (Li et al., arXiv 1810.05934) in its stopping form: at some of a child's evaluations, the rungs, it is
compared with the earlier children that reached the same rung, and stopped if it is among the worst. Rungs are evaluations 1, 2, 4, 8, ...,
as there. Deviation: there a fixed share is stopped at every rung, so that the more rungs there are the fewer are left; here the share that
is stopped in all is what is said, and that of each rung follows from it.

The reward of a child that was stopped is predicted, by the line through (accuracy then, accuracy in the end) of those that were trained to
their end.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.values import Count, PositiveShare, at_least, check_fields


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a child must reach after one of its evaluations.

    Attributes:
      least: accuracy in [0, 1]; below it the child is stopped.
      slope, intercept: of the line that predicts the accuracy in the end.
    """

    least: float
    slope: float
    intercept: float

    def predict(self, accuracy: float) -> float:
        """The accuracy in the end, in [0, 1], of a child that has this one now."""
        return min(1.0, max(0.0, self.intercept + self.slope * accuracy))


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """When a child is hopeless.

    Attributes:
      quantile: the share of children that are stopped, in all, in (0, 1).
      least_peers: so many must have been trained to their end before anyone is stopped, 2 or more.
      first_evaluation: the first rung, 1 or more.
    """

    quantile: PositiveShare = 0.25
    least_peers: at_least(2) = 20
    first_evaluation: Count = 1

    def __post_init__(self):
        check_fields(self)

    def bars(self, curves: Sequence[Sequence[float]], whole: Sequence[Sequence[float]] | None = None) -> list[Bar]:
        """What a child must reach, one bar for each evaluation but the last, 0 off the rungs; none while there are too few peers.

        Args:
          curves: accuracies in [0, 1] of the latest peers after each of their evaluations; those of peers stopped early are shorter.
          whole: of the latest peers that were not stopped, which in time are other ones; by default, those of full length among `curves`.
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


def _bar(values: Sequence[float], share: float) -> float:
    """What the next of such values is below with this probability; 0 while there are too few to tell.

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
