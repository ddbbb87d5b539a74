"""Reads the trials of earlier searches, so that a new search can start from them."""

import json
import pathlib
from collections.abc import Iterator, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file, user_path
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.trials.journal import read_identity, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures, measured

MIN_PRIOR = 10
PRIOR_NAME = "prior.json"  # file of a work folder with the prior that its search began with


def trials_of(folders: Sequence[str], identity: Identity, space: SearchSpace) -> Iterator[tuple[str, Trial]]:
    """Yields (folder, trial) for each architecture of other searches that fits a new search and whose reward was measured.

    Prints one line for each thing it leaves out: a folder whose rewards are for another task, or a folder's architectures of another space.

    Args:
      folders: work folders of the other searches.
      identity: identity of the new search, without the bindings that only affect which architectures are proposed.
      space: search space of the new search.

    Raises:
      InputError: a folder holds no search, or no trial in any of the folders fits.
    """
    identity, left_out, found = identity.without((f"{SearchSpace.__name__}.*", "fixed *")), [], False
    for name in folders:
        folder = user_path(name)
        difference = identity.difference(read_identity(folder))
        if difference:
            left_out.append(f"the trials of {name} are for another task: {difference} here")
            continue
        trials = measured(read_trials(folder))
        fitting, why = _fitting(trials, space, name)
        found = found or bool(fitting)
        left_out += why
        yield from ((str(name), trial) for trial, _ in fitting)
    if left_out and not found:
        raise InputError(f"search.take_over: no trial fits this search: {'; '.join(left_out)}")
    for what in left_out:
        print(f"search.take_over: left out: {what}")


def _fitting(trials: Sequence[Trial], space: SearchSpace, name: str) -> tuple[list[tuple[Trial, tuple[int, ...]]], list[str]]:
    """Returns the trials whose architectures are in the space, with their decisions, and a list of at most one line about the others."""
    fitting, why = [], ""
    for trial in trials:
        try:
            fitting.append((trial, space.encode(trial.genotype)))
        except InputError as error:
            why = str(error)
    others = len(trials) - len(fitting)
    return fitting, [f"{others} of the {len(trials)} architectures of {name}: {why}"] if others else []


def read_prior(folders: Sequence[str], space: SearchSpace, workdir: pathlib.Path) -> list[tuple[list[tuple[int, ...]], list[float]]]:
    """Reads the architectures and rewards of searches on other data; prints a line about architectures that are not in the space.

    The result is saved in the work folder, so that a resumed search has the same prior even if the other folders have changed.

    Args:
      folders: work folders of the other searches.
      space: search space of the new search.
      workdir: work folder of the new search.

    Returns:
      For each folder with architectures of this space: their decisions in it, and the reward of each.

    Raises:
      InputError: a folder holds no search, fewer than 10 architectures are in this space, or the saved file is damaged.
    """
    kept = workdir / PRIOR_NAME
    if kept.is_file():
        try:
            values = json.loads(kept.read_text())
            if values["folders"] == list(folders):  # else it belongs to a search that was refused or killed before its first reward
                searches = values.get("searches", [values])  # version 0.3.0 took all folders for one search
                return [(list(map(tuple, search["decisions"])), search["rewards"]) for search in searches]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{kept}: damaged ({error!r}); remove it to read {', '.join(folders)} again") from error
    searches = []
    for name in folders:
        fitting, why = _fitting(architectures(read_trials(user_path(name))), space, name)
        for what in why:
            print(f"search.prior: left out: {what}")
        rewards = [trial.rung_rewards[0] if trial.rung_rewards else trial.reward for trial, _ in fitting]
        if fitting:
            searches.append(([each for _, each in fitting], rewards))
    count = sum(len(rewards) for _, rewards in searches)
    if count < MIN_PRIOR:
        raise InputError(f"search.prior: expected at least {MIN_PRIOR} architectures of this space, got {count} in {', '.join(folders)}")
    found = [{"decisions": decisions, "rewards": rewards} for decisions, rewards in searches]
    replace_file(kept, json.dumps({"folders": list(folders), "searches": found}))
    return searches


def check_folders(folders: Sequence[str], workdir: pathlib.Path) -> None:
    """Raises InputError if one of `folders` is the work folder of the search itself."""
    for name in folders:
        if user_path(name).resolve() == workdir.resolve():
            raise InputError(f"search.take_over: expected work folders of other searches, got {name}, the work folder of this search")
