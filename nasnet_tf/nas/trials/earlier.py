"""The trials of earlier searches, for a search to begin with."""

import pathlib
from collections.abc import Iterator, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.identity import Identity
from nasnet_tf.nas.trials.journal import read_identity, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures


def trials_of(folders: Sequence[str], identity: Identity) -> Iterator[tuple[str, Trial]]:
    """(folder, trial) of all architectures that other searches have rewarded by a training to its end.

    Args:
      folders: their work folders.
      identity: of the search that is to take them over; what only chooses architectures may change in it.

    Raises:
      InputError: no search there, or one whose rewards mean something else: another space, data, training or objective.
    """
    for name in folders:
        folder = user_path(name)
        difference = identity.difference(read_identity(folder))
        if difference:
            raise InputError(f"search.take_over: the trials of {name} are of another task: {difference} here")
        yield from ((str(name), trial) for trial in architectures(read_trials(folder)) if not trial.is_predicted)


def check_folders(folders: Sequence[str], workdir: pathlib.Path) -> None:
    """Raises InputError if a search is to take itself over."""
    for name in folders:
        if user_path(name).resolve() == workdir.resolve():
            raise InputError(f"search.take_over: expected work folders of other searches, got this one's, {name}")
