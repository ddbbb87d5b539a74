"""The configuration of a command."""

import pathlib

from nasnet_tf.cli import flags
from nasnet_tf.cli.flags import FLAGS
from nasnet_tf.recipes import folders
from nasnet_tf.recipes.reading import parse_gin


def configuration() -> str:
    """Returns the checked configuration of --gin_file, flags such as --data, and --gin_param, as text; see `reading.parse_gin`."""
    workdir = pathlib.Path(FLAGS.workdir)
    folders.check_workdir(workdir, "--workdir")
    return parse_gin(FLAGS.gin_file, [*flags.params(), *FLAGS.gin_param], folders.begun_with(workdir))
