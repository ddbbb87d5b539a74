"""How far children are trained: what the search loop asks, whichever rule answers."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from nasnet_tf.nas.trials.trial import Trial


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a child must reach after one of its evaluations.

    Attributes:
      min_accuracy: in [0, 1]; below it the child is stopped.
      slope, intercept: of the line that predicts the accuracy in the end.
    """

    min_accuracy: float
    slope: float
    intercept: float

    def predict(self, accuracy: float) -> float:
        """Returns the accuracy in the end, in [0, 1], of a child that has this one now."""
        return min(1.0, max(0.0, self.intercept + self.slope * accuracy))


@dataclasses.dataclass(frozen=True)
class Request:
    """What an execution asks of a child. The defaults train it to the end.

    Attributes:
      bars: one for each evaluation on the way, for early stopping; empty while there are too few children to compare with, None without
        early stopping.
      share: train up to this fraction of the whole training, in (0, 1].
      folder: keeps checkpoints and metrics, to resume from; None keeps nothing.
      image_size: side of the images in pixels; None for the data's own.
      rung: the rung of successive halving, from 0; None without.
    """

    bars: tuple[Bar, ...] | None = None
    share: float = 1.0
    folder: pathlib.Path | None = None
    image_size: int | None = None
    rung: int | None = None


TO_THE_END = Request()


class Fidelity:
    """Decides how far each child is trained. A rule inherits from this class, which has what it does not override train to the end."""

    def request(self, trial: Trial, finished: Sequence[Trial], workdir: pathlib.Path) -> Request:
        """Returns what to ask of the next execution of a trial.

        Args:
          trial: which is about to run.
          finished: the finished trials of the search, in the order in which they got their first reward.
          workdir: of the search.
        """
        return TO_THE_END

    def promotable(self, trials: Sequence[Trial], running: Collection[int]) -> Trial | None:
        """Returns a finished trial that is to be trained further before new ones begin; None where there is none.

        Args:
          trials: of the search.
          running: the numbers of those that run.
        """
        return None

    def clean(self, trial: Trial, workdir: pathlib.Path) -> None:
        """Removes what the executions of a trial have kept, once it cannot run again."""


class FullTraining(Fidelity):
    """All children are trained to the end."""
