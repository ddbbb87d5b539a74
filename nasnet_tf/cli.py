"""What the doors share: flags and help, the work folder, and errors that a person can read.

A door is a module with a docstring, whose first line ends in an example, `define_flags()`, and `main(arguments)`.
"""

import contextlib
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator

from absl import flags, logging

from nasnet_tf import claims, everyday, explain, extras
from nasnet_tf.claims import bindings  # noqa: F401
from nasnet_tf.errors import InputError, reason
from nasnet_tf.files import check_place, replace_file
from nasnet_tf.quiet import import_tensorflow, without_remarks  # noqa: F401
from nasnet_tf.recipes import find_recipe, parse_gin, parse_recipe, read_recipe, recipes  # noqa: F401

FLAGS = flags.FLAGS
_HELP = ("-h", "--h", "-help", "--help", "--helpshort", "--helpfull")
_WIDTH = 100


def define_gin_flags() -> None:
    """--gin_file and --gin_param."""
    flags.DEFINE_multi_string(
        "gin_file", [], "A recipe: the path of a gin file, or the bare name of one that ships with the package; may be repeated."
    )
    flags.DEFINE_multi_string("gin_param", [], "A binding that overrides the recipe's, as name.parameter=value; may be repeated.")


def define_workdir_flag(text: str) -> None:
    """--workdir, required."""
    flags.DEFINE_string("workdir", None, text, required=True)


def define_network_flags() -> None:
    """--workdir with its --checkpoint and --ema, or --model with its --weights and --resize; one of the two is given."""
    flags.DEFINE_string("workdir", None, "Of a training.")
    flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Of a training: which weights; best is last where it evaluated nothing.")
    flags.DEFINE_bool("ema", True, "Of a training: moving averages of the weights, where it kept them.")
    flags.DEFINE_string("model", None, "Instead: a name such as mobile, a size such as '6 @ 768', an export, a .keras file.")
    flags.DEFINE_string("weights", "trained", "For a name or size: a weights file instead of the public ones; none for fresh ones.")
    flags.DEFINE_enum("resize", None, ["tf2", "tf1"], "For an ImageNet name: how; tf1 is as its public weights were measured.")


def named_model() -> str | None:
    """--model, None where --workdir is given instead; InputError for both or neither, or for what goes with the other one."""
    if (FLAGS.workdir is None) == (FLAGS.model is None):
        raise InputError("expected --workdir, of a training, or --model, one of the two")
    missing, without_it = ("model", ("weights", "resize")) if FLAGS.model is None else ("workdir", ("checkpoint", "ema"))
    for name in without_it:
        if FLAGS[name].present:
            raise InputError(f"--{name}: goes with --{missing}, which is not given")
    return FLAGS.model


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
        if "gin_file" in own and (asked := explain.asked(given)) is not None:
            print(explain.explain(asked))
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
    except OSError as error:
        _fail(_text(error))
    except Exception as error:
        if type(error).__name__ == "TrainingInterrupted":  # as asked, by SIGTERM: no failure
            print(error, flush=True)
            _end(0)
        message = _message_for_people(error)
        if message is None:
            raise
        _fail(message)


def _parse(own: list[str]) -> list[str]:
    """Reads the command line; returns the arguments that are no flags."""
    try:
        rest = FLAGS(sys.argv)[1:]
    except flags.Error as error:
        missing = re.search(r"[Ff]lag --(\w+) must have a value other than None", str(error))
        raise InputError(f"--{missing[1]} is missing: {FLAGS[missing[1]].help}" if missing else " ".join(str(error).split())) from error
    for name in own:
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
        note = " (required)" if _is_required(name) else f" (default {flag.default})" if flag.default not in (None, []) else ""
        told = re.sub(r"^<.*?>: |;\s+repeat this option to specify a list of values$", "", flag.help)  # absl's additions
        lines.append(f"  {shown}")
        lines += textwrap.wrap(f"{told}{note}", _WIDTH, initial_indent="      ", subsequent_indent="      ")
    if "gin_file" in own:
        lines += ["  --explain=NAME", "      What a recipe may bind of NAME, with its meaning; any of these:"]
        names = ", ".join(explain.BINDABLE)
        lines += textwrap.wrap(names, _WIDTH, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
    return "\n".join([*lines, "  -h, --help", "      Shows this."])


def _is_required(name: str) -> bool:
    return FLAGS[name].default is None and any("must have a value other than None" in each.message for each in FLAGS[name].validators)


def _end(code: int) -> None:
    """At once: threads of a half-read input pipeline or a pool must not delay or garble the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str, code: int = 1) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    _end(code)


def _text(error: Exception) -> str:
    """The message without gin's addition of where it was calling."""
    text = str(error).split("\n  In call to configurable")[0].strip()
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return text


def _message_for_people(error: Exception) -> str | None:
    text = _text(error)
    if isinstance(error, InputError) or type(error).__name__ in ("SearchPaused", "TrainingDiverged"):
        return text
    if isinstance(error, ModuleNotFoundError) and (asked := extras.missing(error)):
        return str(asked)
    if isinstance(error, TypeError) and "No values supplied by Gin" in str(error):
        return f"the configuration lacks a binding: {' '.join(str(error).split())}"
    if type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: {reason(error)}"
    return None


def configuration() -> str:
    """What --gin_file, the everyday flags and --gin_param say, checked, as text; see recipes.parse_gin."""
    workdir = pathlib.Path(FLAGS.workdir)
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir: expected a folder, but {workdir} is a file")
    check_place(workdir, "--workdir")
    return parse_gin(FLAGS.gin_file, [*everyday.params(), *FLAGS.gin_param])


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
    path = workdir / claims.CONFIG_NAME
    with claims.at_work(workdir, kind):
        if path.is_file() and claims.has_saved(workdir):
            import nasnet_tf.configurables  # noqa: F401  fills what follows
            from nasnet_tf.bindable import default

            difference = claims.first_difference(claims.read_bindings(path), bindings(config_text), default)
            if difference:
                raise claims.refusal(workdir, difference)
        replace_file(path, config_text)
        yield workdir


def trained_workdir() -> pathlib.Path:
    """--workdir, of a training; InputError where it is none, before TensorFlow is loaded."""
    workdir = pathlib.Path(FLAGS.workdir)
    if not workdir.is_dir():
        raise InputError(f"--workdir: no such folder: {workdir}")
    if not any(workdir.glob("checkpoints/*.index")):
        raise InputError(f"{workdir}: holds no trained network; expected checkpoints there, as train writes them")
    return workdir


def new_output(name: str = "output", suffixes: tuple[str, ...] = ()) -> pathlib.Path | None:
    """The file that a flag names, None where it is not given; InputError, before any work, if it cannot be written there."""
    if FLAGS[name].value is None:
        return None
    path = pathlib.Path(FLAGS[name].value)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"--{name}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    if path.is_dir() or FLAGS[name].value.endswith("/"):
        raise InputError(f"--{name}: expected a file, but {path} is a folder")
    check_writable(path, name)
    return path


def new_folder(name: str = "output") -> pathlib.Path | None:
    """The folder that a flag names, None where it is not given; InputError, before any work, if it is a file or cannot be made."""
    if FLAGS[name].value is None:
        return None
    path = pathlib.Path(FLAGS[name].value)
    if path.exists() and not path.is_dir():
        raise InputError(f"--{name}: expected a folder, but {path} is a file")
    check_place(path, f"--{name}")
    return path


def check_writable(path: pathlib.Path, name: str) -> None:
    """Makes the folders above a path, and raises InputError where nothing can be written in them."""
    check_place(path, f"--{name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--{name}: {path} cannot be written: {error.filename}: {error.strerror}") from error


def write_operative_config(workdir: pathlib.Path) -> None:
    """operative_config.gin: every binding that was used, defaults included."""
    import gin

    from nasnet_tf.training.distribution import is_chief

    if is_chief():
        replace_file(workdir / "operative_config.gin", gin.operative_config_str())
