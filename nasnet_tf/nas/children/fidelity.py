"""The interface of fidelity rules, which decide how far each child is trained."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from nasnet_tf.nas.trials.trial import Trial


@dataclasses.dataclass(frozen=True)
class Bar:
    """The threshold that a child must reach at one of its evaluations.

    Attributes:
      min_accuracy: in [0, 1]; a child below it is stopped.
      slope: slope of the line that predicts the final accuracy from the accuracy at this evaluation.
      intercept: intercept of that line.
    """

    min_accuracy: float
    slope: float
    intercept: float

    def predict(self, accuracy: float) -> float:
        """Predicts the final accuracy, in [0, 1], of a child with this accuracy now."""
        return min(1.0, max(0.0, self.intercept + self.slope * accuracy))


@dataclasses.dataclass(frozen=True)
class Request:
    """How far and how to train a child in one execution. The defaults train it to the end.

    Attributes:
      bars: thresholds for early stopping, one for each evaluation except the last. Empty while there are too few children to compare with;
        None without early stopping.
      share: fraction of the whole training at which to stop, in (0, 1].
      folder: folder for checkpoints and metrics, from which a later execution resumes; None to keep nothing.
      image_size: height and width of the images in pixels; None for the size of the data.
      rung: rung of successive halving, from 0; None without successive halving.
    """

    bars: tuple[Bar, ...] | None = None
    share: float = 1.0
    folder: pathlib.Path | None = None
    image_size: int | None = None
    rung: int | None = None


TO_THE_END = Request()


class Fidelity:
    """Base class of rules that decide how far each child is trained. The base class trains every child to the end."""

    def request(self, trial: Trial, finished: Sequence[Trial], workdir: pathlib.Path) -> Request:
        """Returns the request for the next execution of a trial.

        Args:
          trial: the trial that is about to run.
          finished: the finished trials of the search, in the order in which they got their first reward.
          workdir: work folder of the search.
        """
        return TO_THE_END

    def promotable(self, trials: Sequence[Trial], running: Collection[int]) -> Trial | None:
        """Returns a finished trial to train further before a new trial begins; None if there is no such trial.

        Args:
          trials: all trials of the search.
          running: numbers of the trials that are running.
        """
        return None

    def clean(self, trial: Trial, workdir: pathlib.Path) -> None:
        """Removes the files that the executions of a trial have kept, if the trial cannot run again."""


class FullTraining(Fidelity):
    """Trains every child to the end."""
