"""The work folder of a command: its configuration and its owner."""

import contextlib
import pathlib
from collections.abc import Iterator

from nasnet_tf.base import work_folders
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import CONFIG_NAME, Identity, bindings, read_bindings
from nasnet_tf.cli import flags
from nasnet_tf.cli.flags import FLAGS
from nasnet_tf.recipes import folders
from nasnet_tf.recipes.reading import parse_gin


def configuration() -> str:
    """What --gin_file, the everyday flags and --gin_param say, checked, as text; see recipes.parse_gin."""
    workdir = pathlib.Path(FLAGS.workdir)
    folders.check_workdir(workdir, "--workdir")
    return parse_gin(FLAGS.gin_file, [*flags.params(), *FLAGS.gin_param], folders.begun_with(workdir))


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
