"""Runs a command: parses its flags, prints its help, and reports errors in one line.

A command is a module with `define_flags()`, `main(arguments)`, and a docstring in the form that help_screen.py describes.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator

from absl import logging
from absl.flags import Error as FlagsError

from nasnet_tf.base import extras
from nasnet_tf.base.errors import InputError, NasnetError, reason
from nasnet_tf.base.terminal import without_remarks
from nasnet_tf.cli import explaining, flags, help_screen
from nasnet_tf.cli.flags import FLAGS
from nasnet_tf.recipes import gin_messages


def run(main: Callable[[list[str]], None], define_flags: Callable[[], None] = lambda: None, arguments: str | None = None) -> None:
    """Runs a command.

    A mistake of the user ends the process with one line on standard error and exit code 1; Ctrl-C ends it with exit code 130. Any other
    exception is a bug of this package and keeps its traceback.

    Args:
      main: the command; it gets the arguments that are not flags.
      define_flags: defines the flags of the command.
      arguments: help text for the arguments that are not flags; None if the command takes no such arguments.
    """
    others = set(FLAGS)
    define_flags()
    own = [name for name in FLAGS if name not in others]
    given = sys.argv[1:]
    if help_screen.is_asked(given):
        print(help_screen.text(sys.modules[main.__module__].__doc__ or "", own, arguments, given))
        return
    with _failures(), without_remarks():
        if "gin_file" in own and (asked := explaining.asked(given)) is not None:
            print(explaining.explain(asked) if asked else explaining.names())
            return
        rest = _parse(own)
        if rest and arguments is None:
            _refuse_argument(rest[0])
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # hides log messages of TensorFlow Datasets and other packages
        main(rest)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Ends the process with a one-line message for exceptions that the user can do something about."""
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
    """Parses the command line; returns the arguments that are not flags."""
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
        hint = "; give each binding its own --gin_param" if "gin_param" in FLAGS else f"; a flag begins with --, as in --{argument}"
    raise InputError(f"unexpected argument {argument!r}: this command takes flags only{hint}; see --help")


def _end(code: int) -> None:
    """Ends the process at once, so that threads of an input pipeline or a pool cannot delay its end or print more."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str, code: int = 1) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    _end(code)


def _message(error: Exception) -> str | None:
    """Returns the message for an error that the user can do something about; None if the error is a bug of this package."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, (NasnetError, OSError)):
        return gin_messages.without_call_sites(error)
    if isinstance(error, ModuleNotFoundError) and (asked := extras.missing(error)):
        return str(asked)
    if isinstance(error, TypeError) and (missing := gin_messages.missing_bindings(error)):
        return f"the configuration lacks a binding for {', '.join(missing)}; add it to the recipe or give it as --gin_param"
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError):
        return f"out of memory: {reason(error)}"
    return None
