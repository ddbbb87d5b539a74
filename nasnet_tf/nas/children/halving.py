"""Asynchronous successive halving (Li et al., arXiv 1810.05934, algorithm 2): all children begin with short trainings, the best continue.

A training is divided into rungs. Each rung is `eta` times as long as the one before, and the last is the whole training. Whenever a slot is
free, the search looks for a child that is among the best 1/eta at its rung and has not continued yet. That child continues from its
checkpoint as if it had never been stopped. If there is no such child, a new one begins. The strategy learns the accuracies of the first
rung, because only these are comparable between all children. Children that reached a higher rung are ranked first.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Collection, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, at_least, check_fields
from nasnet_tf.nas.children.fidelity import Fidelity, Request
from nasnet_tf.nas.children.folders import architecture_folder
from nasnet_tf.nas.trials.faults import FaultTolerance
from nasnet_tf.nas.trials.trial import Status, Trial

_MAX_LOSSES = FaultTolerance.max_losses
FOLDER = "rungs"  # subfolder of a search's work folder, with the checkpoints of each architecture that may continue


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving(Fidelity):
    """Trains all children for a short time and continues only the best ones.

    Attributes:
      rungs: number of rungs, 2 or more. With 3 rungs and an eta of 3, children are trained for 1/9, 1/3 and all of their epochs.
      eta: a child continues if it is among the best 1/eta at its rung; 2 or more.
      image_sizes: height and width of the images in pixels, for each rung before the last; the last rung uses the size of the data. None
        for the size of the data at all rungs. Networks take images of any size, so a child keeps its weights when it continues.
      max_failures: number of failed attempts to continue after which a child is not continued any more, 1 or more. Attempts whose machine
        left the cluster count apart, up to 10.
    """

    rungs: at_least(2) = 3
    eta: at_least(2) = 3
    image_sizes: tuple[Count, ...] | None = None
    max_failures: Count = 3

    def __post_init__(self):
        check_fields(self)
        if self.image_sizes is not None and len(self.image_sizes) != self.rungs - 1:
            sizes = ", ".join(map(str, self.image_sizes)) or "none"
            raise InputError(f"SuccessiveHalving.image_sizes: expected {self.rungs - 1} sizes, one per rung before the last, got {sizes}")

    def request(self, trial: Trial, finished: Sequence[Trial], workdir: pathlib.Path) -> Request:
        """Returns the request that trains a trial up to its next rung."""
        rung = len(trial.rung_rewards)
        size = self.image_sizes[rung] if self.image_sizes and rung < self.rungs - 1 else None
        folder = architecture_folder(workdir / FOLDER, trial.genotype)
        return Request(None, float(self.eta) ** (rung + 1 - self.rungs), folder, size, rung)

    def promotable(self, trials: Sequence[Trial], running: Collection[int]) -> Trial | None:
        """Returns the trial to continue, from the highest rung that has one; None if no trial is to continue."""
        for rung in range(self.rungs - 2, -1, -1):
            # Checkpoints of trials that were taken over lie in the other search's folder.
            reached = [trial for trial in trials if len(trial.rung_rewards) > rung and trial.is_own]
            best = sorted(reached, key=lambda trial: (-trial.rung_rewards[rung], trial.number))[: len(reached) // self.eta]
            for trial in best:
                if len(trial.rung_rewards) == rung + 1 and trial.number not in running and not self._has_ended(trial):
                    return trial
        return None

    def clean(self, trial: Trial, workdir: pathlib.Path) -> None:
        """Removes the checkpoints of a trial that cannot continue any more."""
        if trial.status == Status.INFEASIBLE or self._has_ended(trial):
            shutil.rmtree(architecture_folder(workdir / FOLDER, trial.genotype), ignore_errors=True)

    def _has_ended(self, trial: Trial) -> bool:
        """Returns whether a trial has reached the last rung, or has failed or lost its machine too often to continue."""
        return len(trial.rung_rewards) == self.rungs or trial.failed_rungs >= self.max_failures or trial.lost_rungs >= _MAX_LOSSES
