"""Finds, reads and checks recipes; mistakes are reported with file, line and binding."""

import contextlib
import io
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.base.files import what_is_there
from nasnet_tf.base.identity import bindings
from nasnet_tf.base.terminal import import_tensorflow
from nasnet_tf.recipes import gin_messages, renamed

_HERE = pathlib.Path(__file__).parent
_INCLUDE = re.compile(r"""^include\s+(["'])(?P<name>.+?)\1[ \t]*(#.*)?$""", re.MULTILINE)
_BINDING = re.compile(r"^(?P<name>[\w./]+)\s*=", re.MULTILINE)
_SCOPES = re.compile(r"@((?:\w+/)+)\w")


def recipes() -> dict[str, pathlib.Path]:
    """Returns the paths of the shipped recipes by name. A checkout has them next to the package, an installation inside it."""
    folder = next(folder for folder in (_HERE / "shipped", _HERE.parents[1] / "gin") if folder.is_dir())
    return {path.name: path for path in sorted(folder.glob("*.gin"))}


def find_recipe(name: str, folder: pathlib.Path = pathlib.Path()) -> pathlib.Path:
    """Returns the path of a gin file.

    Args:
      name: a path relative to `folder`, or the bare name of a shipped recipe.
      folder: the folder; by default the current one.

    Raises:
      InputError: there is no such file or recipe.
    """
    path = folder / name
    if path.is_file():
        return path
    if name in recipes():
        return recipes()[name]
    hint = did_you_mean(name, recipes())
    raise InputError(f"{path}: {what_is_there(path)}{hint}; expected a gin file, or one of the shipped recipes {', '.join(recipes())}")


def read_recipe(path: pathlib.Path, included_by: tuple[pathlib.Path, ...] = ()) -> list[tuple[pathlib.Path, str]]:
    """Reads a gin file and the files that it includes, as pieces of text with their paths.

    Each piece begins with empty lines, so that its line numbers are those in its file. `include "<name>"` is replaced by the pieces of that
    file. The name is a path relative to the including file, or a shipped recipe. gin's own include is not used, because it looks in the
    current folder first and logs an error for each place where the file does not exist.

    Args:
      path: path of the file.
      included_by: the files through which it was included, to detect a cycle.

    Raises:
      InputError: a file does not exist, is not text, or includes itself.
    """
    if path in included_by:
        raise InputError(f"{path}: includes itself, through {' and '.join(map(str, included_by))}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a gin file, but it is not text ({error})") from error
    pieces, done = [], 0
    for include in [*_INCLUDE.finditer(text), None]:
        end = include.start() if include else len(text)
        lines = text.count("\n", 0, done)
        pieces.append((path, "\n" * lines + text[done:end]))
        if include:
            pieces += read_recipe(find_recipe(include["name"], path.parent), (*included_by, path))
            done = include.end()
    return pieces


def parse_recipe(pieces: Iterable[tuple[pathlib.Path, str]]) -> dict[str, str]:
    """Adds the bindings of pieces to gin's configuration; a later binding of the same parameter overrides an earlier one.

    Returns:
      The place of each binding by its name, as text for messages.
    """
    places = {}
    for path, text in pieces:
        places |= _parse(text, str(path))
    return places


def _parse(text: str, source: str) -> dict[str, str]:
    """Adds the bindings of a text to gin's configuration; returns the place of each binding by its name."""
    import gin

    statements = io.StringIO(text)
    statements.name = source
    try:
        gin.parse_config(statements)
    except Exception as error:  # gin raises ValueError, SyntaxError, TypeError, AttributeError, ... for mistakes in a file
        raise InputError(gin_messages.mistake_in_file(error, source)) from error
    return {match["name"]: f"{source}, line {text.count(chr(10), 0, match.start()) + 1}" for match in _BINDING.finditer(text)}


@contextlib.contextmanager
def own_bindings() -> Iterator[None]:
    """Clears gin's bindings at the beginning of the `with`, and restores them at its end."""
    import gin

    before, was_locked = gin.config_str(max_line_length=10**6), gin.config_is_locked()
    gin.clear_config()
    try:
        yield
    finally:
        gin.clear_config()
        gin.parse_config(before)
        if was_locked:
            gin.finalize()


def _config_text() -> str:
    """Returns gin's configuration as text, one binding per line and without comments."""
    import gin

    lines = gin.config_str(max_line_length=10**6).splitlines()  # a large maximum, so that no binding is wrapped
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def parse_gin(files: Sequence[str], params: Sequence[str], begun: Mapping[str, str] | None = None) -> str:
    """Parses --gin_file and --gin_param, and checks all bindings.

    Args:
      files: paths of gin files, or names of shipped recipes.
      params: bindings "name.parameter=value", which override those of the files.
      begun: the bindings that the work folder was begun with, which decide whether former defaults are kept; None for new work.

    Returns:
      The configuration as text, one binding per line.

    Raises:
      InputError: a file does not exist, a line is not gin, a name or parameter is unknown, or a value has the wrong type. The message names
        the file, the line and the binding.
    """
    if not files:
        raise InputError(f"--gin_file is missing; give a path, or one of the shipped recipes {', '.join(recipes())}")
    pieces = [piece for name in files for piece in read_recipe(find_recipe(name))]
    for param in params:
        if not _BINDING.match(param):
            raise InputError(f"--gin_param: expected name.parameter=value, got {param!r}")
    import_tensorflow()
    import gin

    from nasnet_tf.recipes import table

    table.load()

    places = parse_recipe(pieces)
    for param in params:
        places |= dict.fromkeys(_parse(param, f"--gin_param {param!r}"), f"--gin_param {param!r}")
    for name, is_former in renamed.changed_defaults(bindings(_config_text()), begun):
        gin.parse_config(f"{name} = {renamed.FORMER_DEFAULTS[name] if is_former else table.default(name)}")
    try:
        gin.finalize()
    except ValueError as error:
        macro = gin_messages.unbound_macro(error)
        if macro is None:
            raise
        raise InputError(f"%{macro}: this macro has no value; expected a line such as {macro} = 3") from error
    config_text = _config_text()
    bound = bindings(config_text)
    for name, place in places.items():
        if re.sub(r"[\w.]*?(\w+\.\w+)$", r"\1", name) not in bound:  # gin leaves out values that it cannot write as literals
            raise InputError(f"{place}: {name}: expected a finite number or another literal, got {gin.query_parameter(name)!r}")
    scopes = {
        table.RETRAIN_SCOPE,
        *(scope for value in bound.values() for scope in _SCOPES.findall(value) for scope in scope.split("/")),
    }
    for name in bound:
        for scope in name.split("/")[:-1]:
            if scope not in scopes:
                raise InputError(
                    f"{places.get(name, 'configuration')}: {name}: nothing uses the scope {scope!r}{did_you_mean(scope, scopes)}"
                )
    for name, mistake in table.mistakes(bound):
        raise InputError(f"{places[name]}: {mistake}" if name in places and not places[name].startswith("--gin_param") else mistake)
    return config_text
