"""What a recipe may bind, told at a door: --explain=TrainingConfig."""

import importlib
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Sequence
from typing import Any

from nasnet_tf.base import values
from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.base.terminal import import_tensorflow

_WIDTH = 100


def asked(arguments: Sequence[str]) -> str | None:
    """The name that --explain=NAME or --explain NAME asks for; None where it is not given."""
    for place, argument in enumerate(arguments):
        match = re.fullmatch(r"--?explain(?:=(.*))?", argument)
        if match:
            return match[1] if match[1] is not None else "".join(arguments[place + 1 : place + 2])
    return None


def explain(name: str) -> str:
    """Each parameter of a configurable: its type, its default and what its docstring says.

    Raises:
      InputError: an unknown name.
    """
    import_tensorflow()
    from nasnet_tf.recipes.table import HINTS, ROWS, TARGETS, defaults, literal, load, parameters

    load()
    if name not in ROWS:
        raise InputError(f"--explain: nothing is called {name!r}{did_you_mean(name, ROWS)}; there are {', '.join(ROWS)}")
    target = TARGETS[name]
    document = _documents(target)
    prose = re.split(r"\n(?:Args|Attributes|Returns|Raises|Example|Usage).*:\n", document)[0].strip()
    hints, known, told = HINTS[name], defaults(name), _told(document)
    lines = [name, *(f"  {line}".rstrip() for line in prose.splitlines()), ""]
    for parameter in parameters(name):
        if parameter in ROWS[name].set_by_us:
            continue
        kind = f": {_type(hints[parameter])}" if parameter in hints else ""
        value = f" = {literal(known[parameter])}" if parameter in known else " (required)"
        lines.append(f"  {name}.{parameter}{kind}{value}")
        if parameter in told:
            lines += textwrap.wrap(told[parameter], _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _documents(target: Any) -> str:
    """The docstring of a function or class, then those of its __init__, of its bases, and of what it refers to for its arguments."""
    kinds = [kind for kind in target.__mro__ if kind is not object] if isinstance(target, type) else [target]
    written = [part.__doc__ for kind in kinds for part in (kind, vars(kind).get("__init__")) if part is not None]
    found = [inspect.cleandoc(document) for document in written if document]
    for module, name in re.findall(r"(?:as in|and) (nasnet_tf[\w.]+)\.(\w+)", found[0]):
        found.append(inspect.getdoc(getattr(importlib.import_module(module), name)) or "")
    return "\n\n".join(found)


def _told(document: str) -> dict[str, str]:
    """{parameter: what a docstring says of it}, of lines such as `name: text`, which may go on further to the right."""
    found: dict[str, str] = {}
    names: list[str] = []
    column = 0
    for line in document.splitlines():
        match = re.match(r"\s*(\w+(?:, \w+)*): (.*)", line)
        indent = len(line) - len(line.lstrip())
        if match and not (names and indent > column):
            names, column = match[1].split(", "), indent
            found |= dict.fromkeys(names, match[2])
        elif names and line.strip() and indent > column:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def _type(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        return values.describe(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(map(_type, typing.get_args(hint)))
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(hint))
