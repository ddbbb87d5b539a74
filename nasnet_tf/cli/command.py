"""What the doors share: flags and help, the work folder, and errors that a person can read.

A door is a module with a docstring, whose first line ends in an example, `define_flags()`, and `main(arguments)`.
"""

import contextlib
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator

from absl import logging
from absl.flags import Error as FlagsError

from nasnet_tf.base import extras
from nasnet_tf.base.errors import InputError, NasnetError, reason
from nasnet_tf.base.terminal import without_remarks
from nasnet_tf.cli import explaining, flags
from nasnet_tf.cli.flags import FLAGS
from nasnet_tf.recipes import gin_messages
from nasnet_tf.recipes.bindables import NAMES

_HELP = ("-h", "--h", "-help", "--help", "--helpshort", "--helpfull")
_WIDTH = 100


def run(main: Callable[[list[str]], None], define_flags: Callable[[], None] = lambda: None, arguments: str | None = None) -> None:
    """Runs a door.

    A user's mistake ends in one line on standard error and exit code 1; Ctrl-C in exit code 130. Anything else is a bug of ours and
    keeps its traceback.

    Args:
      main: gets the arguments that are no flags.
      define_flags: defines the door's flags.
      arguments: what these arguments are, for the help; None where there are none: then any is refused.
    """
    others = set(FLAGS)
    define_flags()
    own = [name for name in FLAGS if name not in others]
    given = sys.argv[1:]
    if any(argument in _HELP for argument in given[: given.index("--") if "--" in given else None]):
        print(_help(main, own, arguments))
        return
    with _failures(), without_remarks():
        if "gin_file" in own and (asked := explaining.asked(given)) is not None:
            print(explaining.explain(asked))
            return
        rest = _parse(own)
        if rest and arguments is None:
            _refuse_argument(rest[0])
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # the remarks of TensorFlow Datasets and others
        main(rest)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Ends the process in one line where a person can mend it."""
    try:
        yield
    except KeyboardInterrupt:
        _fail("interrupted; repeat the command to continue", 130)
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        code = error.exit_code if isinstance(error, NasnetError) else 1
        if code == 0:
            print(message, flush=True)
            _end(0)
        _fail(message, code)


def _parse(own: list[str]) -> list[str]:
    """Reads the command line; returns the arguments that are no flags."""
    try:
        rest = FLAGS(sys.argv)[1:]
    except FlagsError as error:
        raise InputError(" ".join(str(error).split())) from error
    for name in own:
        if name in flags.REQUIRED and FLAGS[name].value is None:
            raise InputError(f"--{name} is missing: {FLAGS[name].help}")
        if FLAGS[name].value == "":
            raise InputError(f"--{name}: expected a value, got nothing")
    return rest


def _refuse_argument(argument: str) -> None:
    hint = ""
    if re.match(r"[\w./]+ *=", argument):
        hint = "; each binding needs a --gin_param of its own" if "gin_param" in FLAGS else f"; a flag begins with --, as in --{argument}"
    raise InputError(f"unexpected argument {argument!r}: this command takes flags only{hint}; see --help")


def _help(main: Callable, own: list[str], arguments: str | None) -> str:
    """The door's docstring, its flags, and where the rest is told."""
    document = sys.modules[main.__module__].__doc__
    summary, _, example = document.partition(": python -m ")
    example, _, more = example.partition("\n")
    lines = [f"{summary}.", "", f"  python -m {example.rstrip('.')}", *more.rstrip().splitlines(), ""]
    if arguments is not None:
        lines += ["arguments:", *textwrap.wrap(arguments, _WIDTH, initial_indent="  ", subsequent_indent="  "), ""]
    lines.append("flags:")
    for name in sorted(own, key=lambda name: (name not in ("gin_file", "gin_param", "workdir"), own.index(name))):
        flag = FLAGS[name]
        values = getattr(flag.parser, "enum_values", None)
        shown = f"--[no]{name}" if flag.boolean else f"--{name}={'|'.join(values) if values else '...'}"
        note = " (required)" if name in flags.REQUIRED else f" (default {flag.default})" if flag.default not in (None, []) else ""
        told = re.sub(r"^<.*?>: |;\s+repeat this option to specify a list of values$", "", flag.help)  # absl's additions
        lines.append(f"  {shown}")
        lines += textwrap.wrap(f"{told}{note}", _WIDTH, initial_indent="      ", subsequent_indent="      ")
    if "gin_file" in own:
        lines += ["  --explain=NAME", "      What a recipe may bind of NAME, with its meaning; any of these:"]
        names = ", ".join(NAMES)
        lines += textwrap.wrap(names, _WIDTH, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
    return "\n".join([*lines, "  -h, --help", "      Shows this."])


def _end(code: int) -> None:
    """At once: threads of a half-read input pipeline or a pool must not delay or garble the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str, code: int = 1) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    _end(code)


def _message(error: Exception) -> str | None:
    """Returns what to tell a person who can do something about an error; None for a bug of ours."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, (NasnetError, OSError)):
        return gin_messages.without_call_sites(error)
    if isinstance(error, ModuleNotFoundError) and (asked := extras.missing(error)):
        return str(asked)
    if isinstance(error, TypeError) and (missing := gin_messages.missing_bindings(error)):
        return f"the configuration lacks a binding for {', '.join(missing)}"
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError):
        return f"out of memory: {reason(error)}"
    return None
