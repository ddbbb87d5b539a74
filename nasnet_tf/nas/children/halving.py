"""Asynchronous successive halving (Li et al., arXiv 1810.05934, algorithm 2): all children begin with short trainings, the best go on.

A training is cut into rungs, of which each is `eta` times as long as the one before and the last is the whole training. Whenever a slot is
free, the best child that is among the first 1/eta of those that have reached its rung, and has not gone on, goes on from its checkpoint,
as if it had never been stopped; where there is none, a new one begins. The strategy learns the accuracies of the first rung, for only these
are measured alike; the ranking has those that went further before.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Collection, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, at_least, check_fields
from nasnet_tf.nas.children.folders import architecture_folder
from nasnet_tf.nas.trials.trial import Trial

FOLDER = "rungs"  # of a search: a folder for each architecture that may go on, with its checkpoints


@dataclasses.dataclass(frozen=True)
class Stage:
    """What a child is asked for, in the place of early stopping's bars.

    Attributes:
      share: train up to this share of the whole training, in (0, 1], from where the folder's checkpoint is.
      folder: of this architecture.
      image_size: side of the images in pixels; None for the data's own.
    """

    share: float
    folder: pathlib.Path
    image_size: int | None = None


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """Who goes on.

    Attributes:
      rungs: 2 or more; with 3 and an eta of 3, children are trained for 1/9, 1/3 and all of their epochs.
      eta: a child goes on if it is among the best 1/eta, 2 or more.
      image_sizes: sides of the images in pixels at the rungs before the last, which has the data's own; None for these everywhere. Networks
        take images of any size, so that a child goes on with its weights.
      max_failures: attempts to go on that may fail before a child stays where it is, 1 or more.
    """

    rungs: at_least(2) = 3
    eta: at_least(2) = 3
    image_sizes: tuple[Count, ...] | None = None
    max_failures: Count = 3

    def __post_init__(self):
        check_fields(self)
        if self.image_sizes is not None and len(self.image_sizes) != self.rungs - 1:
            sizes = ", ".join(map(str, self.image_sizes)) or "none"
            raise InputError(f"SuccessiveHalving.image_sizes: expected {self.rungs - 1}, of the rungs before the last, got {sizes}")

    def stage(self, trial: Trial, rung: int, workdir: pathlib.Path) -> Stage:
        """What to ask for to reach a rung, from 0."""
        size = self.image_sizes[rung] if self.image_sizes and rung < self.rungs - 1 else None
        return Stage(float(self.eta) ** (rung + 1 - self.rungs), architecture_folder(workdir / FOLDER, trial.genotype), size)

    def clean(self, trial: Trial, workdir: pathlib.Path) -> None:
        """Removes the checkpoints of a trial that cannot go on."""
        if trial.status == "infeasible" or len(trial.rung_rewards) == self.rungs or trial.failed_rungs >= self.max_failures:
            shutil.rmtree(architecture_folder(workdir / FOLDER, trial.genotype), ignore_errors=True)

    def promotable(self, trials: Sequence[Trial], running: Collection[int]) -> Trial | None:
        """The trial to go on with, of the highest rung that has one; None where there is none.

        Args:
          trials: of the search.
          running: the numbers of those that run.
        """
        for rung in range(self.rungs - 2, -1, -1):
            reached = [trial for trial in trials if len(trial.rung_rewards) > rung and trial.reused_from is None]
            best = sorted(reached, key=lambda trial: (-trial.rung_rewards[rung], trial.number))[: len(reached) // self.eta]
            for trial in best:
                if len(trial.rung_rewards) == rung + 1 and trial.number not in running and trial.failed_rungs < self.max_failures:
                    return trial
        return None
