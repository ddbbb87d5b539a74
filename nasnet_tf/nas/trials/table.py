"""What a search has found, for other programs: a list of its trials, a table with a column for each of their numbers, CSV."""

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

_SEEN = 150  # of the best and of the newest trials, by a model that says what to expect
# Of a Trial; "genotype" is its text.
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
      trials: of the search.
      identity: what the journal says the search is; None where there is no journal.
    """

    def __init__(self, trials: Iterable[Trial], identity: Mapping[str, Any] | None = None):
        super().__init__(trials)
        self.identity = identity or {}

    @property
    def space(self) -> SearchSpace:
        """The search space; raises InputError where the journal does not say it."""
        return space_of(self.identity, self)

    def importance(self) -> Importance:
        """Which operations, inputs, combines and depths a model of the rewards credits, and how far to trust the model.

        Raises:
          InputError: fewer than 10 architectures have a reward, or the journal does not say its space.
        """
        return importance_of(self.space, self)

    def table(self) -> dict[str, list]:
        """A list for each column, all of one length: `pandas.DataFrame(results.table())`.

        Columns are those of every trial ("trial", "status", "reward", "seconds", "hash", "genotype" as a textproto, ...) and then one for
        each metric that any trial has, by its name, or metric_<name> where a column has that; None where a trial has no such value.
        """
        columns = {name: [getattr(trial, attribute) for trial in self] for name, attribute in _COLUMNS.items()}
        for metric in dict.fromkeys(name for trial in self for name in trial.metrics):
            columns[f"metric_{metric}" if metric in _COLUMNS else metric] = [trial.metrics.get(metric) for trial in self]
        return columns

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes the table, a row for each trial after one of names; decisions and curves as JSON has lists."""
        check_local(path)
        table = self.table()
        with naming(user_path(path)), user_path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows([_cell(value) for value in row] for row in zip(*table.values(), strict=True))


def _cell(value):
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def importance_of(space: SearchSpace, trials: Sequence[Trial]) -> Importance:
    """What the rewards of trials say about the choices of their space.

    Of successive halving, those of the first rung count, which all architectures have; predicted rewards count as they are.
    """
    known = architectures(trials)
    rewards = [trial.rung_rewards[0] if trial.rung_rewards else trial.reward for trial in known]
    return importance(space, [trial.decisions for trial in known], rewards)


def expected_gain_of(space: SearchSpace, trials: Sequence[Trial], trainings: int) -> float | None:
    """How much the best accuracy is expected to rise by so many more trainings, as ModelGuided sees it, whatever the strategy was.

    None where there are fewer than 10 rewards, or rewards that are no accuracies.
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
    """The trials of a search's work folder, a retraining's too; reading disturbs no search that runs.

    Raises:
      InputError: no search there, or a damaged journal.
    """
    folder = user_path(workdir)
    return SearchResults(read_trials(folder), read_identity(folder))
