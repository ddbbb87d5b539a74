"""Not training to the end what is hopeless: off in the paper's recipe, worth it where children have many epochs.

A child that, after some evaluation, is worse than most earlier children were after the same one is stopped, and its reward is predicted:
by the line through (accuracy then, accuracy in the end) of those that were trained to their end. Children stopped earlier count among those
it is compared with, as far as they came; else the bar would rise by itself.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.errors import InputError
from nasnet_tf.typed import check_fields


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
      quantile: a child below this share of its peers is stopped, in (0, 1).
      least_peers: so many must have been trained to their end before anyone is stopped, 2 or more.
      first_evaluation: before it nobody is stopped, 1 or more.
    """

    quantile: float = 0.25
    least_peers: int = 20
    first_evaluation: int = 1

    def __post_init__(self):
        check_fields(self)
        if not 0 < self.quantile < 1:
            raise InputError(f"EarlyStopping.quantile: expected a share in (0, 1), got {self.quantile!r}")
        for field, least in (("least_peers", 2), ("first_evaluation", 1)):
            if type(getattr(self, field)) is not int or getattr(self, field) < least:
                raise InputError(f"EarlyStopping.{field}: expected an integer of {least} or more, got {getattr(self, field)!r}")

    def bars(self, curves: Sequence[Sequence[float]]) -> list[Bar]:
        """What a child must reach, one bar for each evaluation but the last; none while there are too few peers.

        curves: accuracies in [0, 1] of every peer after each of its evaluations; those of peers stopped early are shorter.
        """
        length = max(map(len, curves), default=0)
        whole = np.array([curve for curve in curves if len(curve) == length])
        if len(whole) < self.least_peers:
            return []
        bars = []
        for evaluation in range(length - 1):
            if evaluation + 1 < self.first_evaluation:
                least = 0.0
            else:
                least = float(np.quantile([curve[evaluation] for curve in curves if len(curve) > evaluation], self.quantile))
            bars.append(Bar(least, *_line(whole[:, evaluation], whole[:, -1])))
        return bars


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) of the least squares line; flat where x does not vary."""
    spread = np.mean((x - x.mean()) ** 2)
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean())
