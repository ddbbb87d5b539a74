"""The work folder of a command: its configuration, its owner, its operative configuration."""

import contextlib
import pathlib
from collections.abc import Iterator

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import check_place, replace_file
from nasnet_tf.base.identity import CONFIG_NAME, Identity, bindings, read_bindings
from nasnet_tf.cli import flags
from nasnet_tf.cli.flags import FLAGS
from nasnet_tf.nas.trials import journal
from nasnet_tf.recipes.reading import parse_gin


def configuration() -> str:
    """Returns the checked configuration of --gin_file, flags such as --data, and --gin_param, as text; see `reading.parse_gin`."""
    workdir = pathlib.Path(FLAGS.workdir)
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir: expected a folder, but {workdir} is a file")
    check_place(workdir, "--workdir")
    return parse_gin(FLAGS.gin_file, [*flags.params(), *FLAGS.gin_param], _begun(workdir))


def _begun(workdir: pathlib.Path) -> dict[str, str] | None:
    """Returns the bindings of the work that has rewarded or saved something in a folder; None where there are none."""
    if not work_folders.has_saved(workdir):
        return None
    if (workdir / journal.NAME).is_file():
        return journal.read_identity(workdir)
    return read_bindings(workdir / CONFIG_NAME) if (workdir / CONFIG_NAME).is_file() else None


@contextlib.contextmanager
def claimed_workdir(config_text: str, kind: str) -> Iterator[pathlib.Path]:
    """--workdir, taken for a "training" or "tuning" of this configuration, which is in its config.gin; the chief worker does, for all.

    Raises:
      InputError: something was saved there with another configuration, whose first binding that differs is named; it holds something else;
        or it is in use.
    """
    from nasnet_tf.training.distribution import is_chief

    workdir = pathlib.Path(FLAGS.workdir)
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


def write_operative_config(workdir: pathlib.Path) -> None:
    """operative_config.gin: every binding that was used, defaults included."""
    import gin

    from nasnet_tf.training.distribution import is_chief

    if is_chief():
        replace_file(workdir / "operative_config.gin", gin.operative_config_str())
