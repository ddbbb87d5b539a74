"""Reads and writes the configurations in work folders, for commands and for calls from Python."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError, TrainingInterrupted
from nasnet_tf.base.files import check_place, replace_file
from nasnet_tf.base.identity import CONFIG_NAME, Identity, bindings, read_bindings
from nasnet_tf.nas.trials import journal


def begun_with(workdir: pathlib.Path) -> dict[str, str] | None:
    """Returns the bindings that a work folder was begun with; None if nothing was rewarded or saved there yet."""
    if not work_folders.has_saved(workdir):
        return None
    if (workdir / journal.NAME).is_file():
        return journal.read_identity(workdir)
    return read_bindings(workdir / CONFIG_NAME) if (workdir / CONFIG_NAME).is_file() else None


def check_workdir(workdir: pathlib.Path, name: str) -> None:
    """Raises InputError if a path cannot be a work folder.

    Args:
      workdir: the path.
      name: name of the flag or argument that has the path, for the message.
    """
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"{name}: expected a folder, but {workdir} is a file")
    check_place(workdir, name)


@contextlib.contextmanager
def claimed(workdir: pathlib.Path, config_text: str, kind: str) -> Iterator[pathlib.Path]:
    """Locks a work folder during the `with`, and writes the configuration to its config.gin. Only the chief worker does this.

    Args:
      workdir: the work folder.
      config_text: the configuration.
      kind: the kind of work, "training" or "tuning".

    Raises:
      InputError: the folder is in use, holds another kind of work, or has results of another configuration. In the last case, the message
        names the first binding that differs.
    """
    from nasnet_tf.training.distribution import is_chief

    if not is_chief():
        yield workdir
        return
    path = workdir / CONFIG_NAME
    with work_folders.at_work(workdir, kind):
        if path.is_file() and work_folders.has_saved(workdir):
            from nasnet_tf.recipes import renamed, table

            identity = Identity(bindings(config_text), table.may_change(is_search=False), table.default_at_start)
            identity.check(workdir, renamed.translated(read_bindings(path)), kind)
        replace_file(path, config_text)
        yield workdir


def train_in(workdir: pathlib.Path, config_text: str, train: Callable[[pathlib.Path], tuple[Any, Any]]) -> Any:
    """Runs a training in its work folder, and writes operative_config.gin when it has ended or is interrupted.

    Args:
      workdir: the work folder.
      config_text: the configuration.
      train: function (work folder) that trains and returns (model, evaluation), as TrainConfig does.

    Returns:
      The evaluation.

    Raises:
      InputError: see `claimed`.
      TrainingInterrupted: after SIGTERM. KeyboardInterrupt after Ctrl-C.
    """
    with claimed(workdir, config_text, "training"):
        try:
            _, evaluation = train(workdir)
        except (TrainingInterrupted, KeyboardInterrupt):
            write_operative_config(workdir)
            raise
        write_operative_config(workdir)
        return evaluation


def write_operative_config(workdir: pathlib.Path) -> None:
    """Writes operative_config.gin, which has every binding that was used, including defaults. Only the chief worker does this."""
    import gin

    from nasnet_tf.training.distribution import is_chief

    if is_chief():
        replace_file(workdir / "operative_config.gin", gin.operative_config_str())
