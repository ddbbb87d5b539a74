"""The best trial of a search, and the trainings that have ended since it got its reward."""

from collections.abc import Iterable, Sequence

from nasnet_tf.nas.trials.trial import Status, Trial, leaderboard, measured


class Best:
    """Follows the best trial of a search: the first on the leaderboard with a measured reward.

    Attributes:
      trial: the best trial; None before the first measured reward.
    """

    def __init__(self):
        self.trial: Trial | None = None
        self._since: set[int] = set()  # numbers of the trials whose own trainings have ended since
        self._measured: set[str] = set()  # hashes of architectures with a measured reward

    @property
    def num_since(self) -> int:
        """Number of trainings that have ended since the best trial got its reward."""
        return len(self._since)

    def end(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Notes that a trial has ended; trials: all trials of the search."""
        if trial.is_own and trial.is_rewarded_or_infeasible:
            self._since.add(trial.number)
        if trial.status != Status.FINISHED or trial.is_predicted:
            return
        if trial.hash not in self._measured:
            self._measured.add(trial.hash)
            if self.trial is None or _merit(trial) > _merit(self.trial):
                self._set(trial)
        elif trial.is_own:  # trained again; if it was proposed before the trial that ended first, it counts instead of that one
            self._set(_first(trials))

    def promote(self, trial: Trial, trials: Sequence[Trial], is_rewarded: bool) -> None:
        """Notes that a trial has ended a longer training; is_rewarded: whether it got a reward there."""
        self._set(_first(trials))
        if is_rewarded and self.trial is trial:
            self._since = set()  # also if it was the best before, because its reward is new

    def recount(self, ended: Iterable[Trial]) -> None:
        """Notes that only these trials have ended, because others were opened again."""
        self._since &= {trial.number for trial in ended}

    def _set(self, trial: Trial | None) -> None:
        if trial is not self.trial:
            self.trial, self._since = trial, set()


def _first(trials: Sequence[Trial]) -> Trial | None:
    return next(iter(leaderboard(measured(trials))), None)


def _merit(trial: Trial) -> tuple:
    """Returns the sort key of a trial: larger is better, in the same order as `leaderboard`."""
    return len(trial.rung_rewards), trial.reward, -trial.number
