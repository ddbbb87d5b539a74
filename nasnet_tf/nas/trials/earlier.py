"""The trials of earlier searches, for a search to begin with."""

import json
import pathlib
from collections.abc import Iterator, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file, user_path
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.trials.journal import read_identity, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures

LEAST_PRIOR = 10
PRIOR_NAME = "prior.json"  # in a work folder: what its search began with


def trials_of(folders: Sequence[str], identity: Identity, space: SearchSpace) -> Iterator[tuple[str, Trial]]:
    """(folder, trial) of all architectures that other searches have rewarded by a training to its end, as far as they fit.

    Says in a line what is left out, and why: a folder whose rewards mean something else, and architectures of another space.

    Args:
      folders: their work folders.
      identity: of the search that is to take them over; what only chooses architectures may change in it.
      space: of that search.

    Raises:
      InputError: no search there, or nothing fits in any of the folders.
    """
    identity, left_out, found = identity.without((f"{SearchSpace.__name__}.*", "fixed *")), [], False
    for name in folders:
        folder = user_path(name)
        difference = identity.difference(read_identity(folder))
        if difference:
            left_out.append(f"the trials of {name} are of another task: {difference} here")
            continue
        trials = [trial for trial in architectures(read_trials(folder)) if not trial.is_predicted]
        fitting, why = _fitting(trials, space, name)
        found = found or bool(fitting)
        left_out += why
        yield from ((str(name), trial) for trial, _ in fitting)
    if left_out and not found:
        raise InputError(f"search.take_over: nothing fits: {'; '.join(left_out)}")
    for what in left_out:
        print(f"search.take_over: left out: {what}")


def _fitting(trials: Sequence[Trial], space: SearchSpace, name: str) -> tuple[list[tuple[Trial, tuple[int, ...]]], list[str]]:
    """The trials whose architectures the space has, with their decisions in it; and a line on the others, if there are any."""
    fitting, why = [], ""
    for trial in trials:
        try:
            fitting.append((trial, space.encode(trial.genotype)))
        except InputError as error:
            why = str(error)
    others = len(trials) - len(fitting)
    return fitting, [f"{others} of the {len(trials)} architectures of {name}: {why}"] if others else []


def read_prior(folders: Sequence[str], space: SearchSpace, workdir: pathlib.Path) -> tuple[list[tuple[int, ...]], list[float]]:
    """(decisions, rewards) of what searches on other data have rewarded, in terms of a space; says what of it does not fit.

    What is read is kept in the work folder, so that a search that is resumed has the same prior whatever became of the folders.

    Raises:
      InputError: no search there, fewer than 10 of its architectures are of this space, or what was kept is damaged.
    """
    kept = workdir / PRIOR_NAME
    if kept.is_file():
        try:
            values = json.loads(kept.read_text())
            if values["folders"] == list(folders):  # else it is of a search that was refused or killed before its first reward
                return list(map(tuple, values["decisions"])), values["rewards"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{kept}: damaged ({error!r}); remove it to read {', '.join(folders)} again") from error
    decisions, rewards = [], []
    for name in folders:
        fitting, why = _fitting(architectures(read_trials(user_path(name))), space, name)
        for what in why:
            print(f"search.prior: left out: {what}")
        decisions += [each for _, each in fitting]
        rewards += [trial.rung_rewards[0] if trial.rung_rewards else trial.reward for trial, _ in fitting]
    if len(decisions) < LEAST_PRIOR:
        raise InputError(
            f"search.prior: expected at least {LEAST_PRIOR} architectures of this space, got {len(decisions)} in {', '.join(folders)}"
        )
    replace_file(kept, json.dumps({"folders": list(folders), "decisions": decisions, "rewards": rewards}))
    return decisions, rewards


def check_folders(folders: Sequence[str], workdir: pathlib.Path) -> None:
    """Raises InputError if a search is to take itself over."""
    for name in folders:
        if user_path(name).resolve() == workdir.resolve():
            raise InputError(f"search.take_over: expected work folders of other searches, got this one's, {name}")
