"""The results of a search for use in other programs: the list of its trials, a table of their values, and a CSV file."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasnet_tf.base.files import check_local, naming, user_path
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.importance import Importance, importance
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.protocol import Observation, Proposal
from nasnet_tf.nas.trials.journal import read_identity, read_trials
from nasnet_tf.nas.trials.spaces import space_of
from nasnet_tf.nas.trials.trial import Trial, architectures, leaderboard

_SEEN = 150  # a model that predicts the expected gain is fitted to this many of the best and of the newest trials
# Name of each column, and the attribute of Trial that it holds.
_COLUMNS = {
    "trial": "number",
    "status": "status",
    "reward": "reward",
    "seconds": "seconds",
    "attempts": "attempts",
    "hash": "hash",
    "reused_from": "reused_from",
    "taken_from": "taken_from",
    "machine": "machine",
    "reason": "reason",
    "proposed_time": "proposed_time",
    "finished_time": "finished_time",
    "decisions": "decisions",
    "genotype": "text",
}


class SearchResults(list[Trial]):
    """The trials of a search in the order in which they were proposed.

    Args:
      trials: the trials.
      identity: identity of the search in the journal; None if there is no journal.
    """

    def __init__(self, trials: Iterable[Trial], identity: Mapping[str, Any] | None = None):
        super().__init__(trials)
        self.identity = identity or {}

    @property
    def space(self) -> SearchSpace:
        """The search space; raises InputError if it cannot be read from the journal."""
        return space_of(self.identity, self)

    def importance(self) -> Importance:
        """Estimates the effect of each operation, input, combine and path length on the reward, and the quality of the estimate.

        Raises:
          InputError: fewer than 10 architectures have a reward, or the search space cannot be read from the journal.
        """
        return importance_of(self.space, self)

    def table(self) -> dict[str, list]:
        """Returns the values of all trials as one list per column, for example for `pandas.DataFrame(results.table())`.

        The first columns exist for every search: "trial", "status", "reward", "seconds", "hash", "genotype" (as textproto) and others. Then
        comes a column for each metric that any trial has. It has the name of the metric, or metric_<name> if that is the name of one of the
        first columns. Values that a trial does not have are None.
        """
        columns = {name: [getattr(trial, attribute) for trial in self] for name, attribute in _COLUMNS.items()}
        for metric in dict.fromkeys(name for trial in self for name in trial.metrics):
            columns[f"metric_{metric}" if metric in _COLUMNS else metric] = [trial.metrics.get(metric) for trial in self]
        return columns

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes the table as CSV, with a header and one row per trial. Decisions and curves are written as JSON lists."""
        check_local(path)
        table = self.table()
        with naming(user_path(path)), user_path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows([_cell(value) for value in row] for row in zip(*table.values(), strict=True))


def _cell(value):
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def importance_of(space: SearchSpace, trials: Sequence[Trial]) -> Importance:
    """Estimates the effect of each choice of a space on the rewards of trials; see `Importance`.

    With successive halving, the rewards of the first rung are used, because all architectures have them. Predicted rewards are used like
    measured ones.
    """
    known = architectures(trials)
    rewards = [trial.rung_rewards[0] if trial.rung_rewards else trial.reward for trial in known]
    return importance(space, [trial.decisions for trial in known], rewards)


def expected_gain_of(space: SearchSpace, trials: Sequence[Trial], trainings: int) -> float | None:
    """Returns the rise of the best accuracy, in [0, 1], that the model of `ModelGuided` expects from `trainings` more trainings.

    The search may have used any strategy. None if there are fewer than 10 rewards, or the rewards are not accuracies.
    """
    model = ModelGuided(space, seed=0)
    known = architectures(trials)
    seen = {trial.number for trial in [*leaderboard(known)[:_SEEN], *known[-_SEEN:]]}
    for trial in known:
        if trial.number in seen:
            for rung, reward in enumerate(trial.rung_rewards or [trial.reward]):
                model.observe(Observation(Proposal(trial.decisions), reward, rung=rung, is_predicted=trial.is_predicted))
    model.propose()
    return model.expected_gain(trainings)


def read_search(workdir: str | os.PathLike) -> SearchResults:
    """Reads the trials of a search, or of a retraining, from its work folder. It is safe while the search is running.

    Args:
      workdir: the work folder.

    Returns:
      A list of the trials in the order in which they were proposed.

    Raises:
      InputError: the folder holds no search, or its journal is damaged.
    """
    folder = user_path(workdir)
    return SearchResults(read_trials(folder), read_identity(folder))
