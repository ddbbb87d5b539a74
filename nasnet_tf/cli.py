"""What the doors share: flags, gin, the work folder, and errors that a person can read."""

import contextlib
import io
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable

from absl import app, flags, logging

from nasnet_tf.errors import InputError
from nasnet_tf.files import replace_file

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

FLAGS = flags.FLAGS
CONFIG_NAME = "config.gin"
_PACKAGE = pathlib.Path(__file__).parent
_INCLUDE = re.compile(r"""^include\s+(["'])(?P<name>.+?)\1[ \t]*(#.*)?$""", re.MULTILINE)


def define_gin_flags() -> None:
    """--gin_file and --gin_param."""
    flags.DEFINE_multi_string("gin_file", [], "A recipe: the path of a gin file, or the bare name of one that ships with the package.")
    flags.DEFINE_multi_string("gin_param", [], "A binding that overrides the recipe's, as name.parameter=value; may be repeated.")


def define_workdir_flag(text: str) -> None:
    """--workdir, required."""
    flags.DEFINE_string("workdir", None, text, required=True)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs a door. main gets the arguments that are no flags.

    A user's mistake ends in one line on standard error and exit code 1; Ctrl-C in exit code 130. Anything else is a bug of ours and
    keeps its traceback.
    """

    def guarded(arguments: list[str]) -> None:
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # the remarks of TensorFlow Datasets and others
        try:
            main(arguments[1:])
        except KeyboardInterrupt:
            _fail("interrupted; repeat the command to continue", 130)
        except OSError as error:
            _fail(_text(error))
        except Exception as error:
            if type(error).__name__ == "TrainingInterrupted":  # as asked, by SIGTERM: no failure
                print(error, flush=True)
                os._exit(0)
            message = _message_for_people(error)
            if message is None:
                raise
            _fail(message)

    app.run(guarded)


def _fail(message: str, code: int = 1) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr, flush=True)
    # At once: threads of a half-read input pipeline or a pool must not delay or garble the end.
    os._exit(code)


def _text(error: Exception) -> str:
    """The message without gin's addition of where it was calling."""
    return str(error).split("\n  In call to configurable")[0].strip()


def _message_for_people(error: Exception) -> str | None:
    text = _text(error)
    if isinstance(error, InputError) or type(error).__name__ in ("SearchPaused", "TrainingDiverged"):
        return text
    if isinstance(error, TypeError) and "No values supplied by Gin" in str(error):
        return f"the configuration lacks a binding: {' '.join(str(error).split())}"
    return None


def import_tensorflow() -> None:
    """Imports TensorFlow without the remarks that its libraries make on standard error, unless the import fails.

    They come before any log level is read, two for each of several libraries, on every start of every door.
    """
    with tempfile.TemporaryFile() as remarks, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        stderr = os.dup(2)
        stack.callback(os.close, stderr)
        stack.callback(os.dup2, stderr, 2)
        os.dup2(remarks.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            remarks.seek(0)
            os.write(stderr, remarks.read())
            raise


def recipes() -> dict[str, pathlib.Path]:
    """The shipped recipes by name: beside the package in a checkout, inside it where installed."""
    folder = next(folder for folder in (_PACKAGE / "recipes", _PACKAGE.parent / "gin") if folder.is_dir())
    return {path.name: path for path in sorted(folder.glob("*.gin"))}


def find_recipe(name: str, folder: pathlib.Path = pathlib.Path()) -> pathlib.Path:
    """The path of a gin file, as seen from a folder, or of a shipped recipe given by its bare name."""
    path = folder / name
    if path.is_file():
        return path
    if name in recipes():
        return recipes()[name]
    raise InputError(f"{path}: no such file, and not one of the shipped recipes {', '.join(recipes())}")


def parse_recipe(path: pathlib.Path, included_by: tuple[pathlib.Path, ...] = ()) -> None:
    """Adds a gin file's bindings to gin's configuration; of two for one parameter the later counts.

    `include "<name>"` stands for the bindings of that file: one beside the including file, or a shipped recipe. gin's own way would look
    in the current folder first, and log an error for each place where the file is not.
    """
    import gin

    if path in included_by:
        raise InputError(f"{path}: includes itself, through {' and '.join(map(str, included_by))}")
    text, done = path.read_text(), 0
    for include in [*_INCLUDE.finditer(text), None]:
        end = include.start() if include else len(text)
        statements = io.StringIO("\n" * text.count("\n", 0, done) + text[done:end])
        statements.name = str(path)  # with the lines' right numbers, for gin's messages
        gin.parse_config(statements)
        if include:
            parse_recipe(find_recipe(include["name"], path.parent), (*included_by, path))
            done = include.end()


def parse_gin() -> str:
    """Parses --gin_file and --gin_param; returns the configuration as text.

    Raises:
      InputError: a file that is not there, a line that is not gin, a name or parameter that does not exist.
    """
    if not FLAGS.gin_file:
        raise InputError(f"--gin_file is missing; give a path, or one of the shipped recipes {', '.join(recipes())}")
    paths = [find_recipe(name) for name in FLAGS.gin_file]
    import_tensorflow()
    import gin

    import nasnet_tf.configurables  # noqa: F401  registers what may be configured

    try:
        for path in paths:
            parse_recipe(path)
        gin.parse_config(FLAGS.gin_param)
        gin.finalize()
    except InputError:
        raise
    except Exception as error:  # gin raises ValueError, SyntaxError, TypeError, AttributeError, ... for mistakes in a file
        raise InputError(f"gin configuration: {' '.join(str(error).split())}") from error
    # One binding a line, however long; without gin's comments, which are rules as long as its lines may be.
    lines = gin.config_str(max_line_length=10**6).splitlines()
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def bindings(config_text: str) -> dict[str, str]:
    """{"name.parameter": "value"} of a configuration's text with one binding a line, as parse_gin returns it."""
    lines = [line for line in config_text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def claim_workdir(config_text: str) -> pathlib.Path:
    """Makes --workdir and writes config.gin there, or checks that the one there has the same bindings; the chief worker does, for all.

    Raises:
      InputError: the folder was begun with another configuration; the first binding that differs is named.
    """
    from nasnet_tf.training.distribution import is_chief

    workdir = pathlib.Path(FLAGS.workdir)
    if not is_chief():
        return workdir
    path = workdir / CONFIG_NAME
    if path.is_file() and any(other != path for other in workdir.iterdir()):  # else nothing was earned yet with the old bindings
        old, new = bindings(path.read_text()), bindings(config_text)
        for name in [*old, *(name for name in new if name not in old)]:
            if old.get(name) != new.get(name):
                raise InputError(
                    f"{workdir}: was begun with another configuration: {name} was {old.get(name, 'not bound')}, is "
                    f"{new.get(name, 'not bound')}; use another --workdir"
                )
    else:
        workdir.mkdir(parents=True, exist_ok=True)
        replace_file(path, config_text)
    return workdir


def write_operative_config(workdir: pathlib.Path) -> None:
    """operative_config.gin: every binding that was used, defaults included."""
    import gin

    from nasnet_tf.training.distribution import is_chief

    if not is_chief():
        return
    (workdir / "operative_config.gin").write_text(gin.operative_config_str())
