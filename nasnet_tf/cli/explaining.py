"""What a recipe may bind, told at a door: --explain=TrainingConfig."""

import re
import textwrap
import types
import typing
from collections.abc import Sequence
from typing import Any

from nasnet_tf.base import values
from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.terminal import import_tensorflow

docstring_parser = OnDemand("docstring_parser")

_WIDTH = 100


def asked(arguments: Sequence[str]) -> str | None:
    """The name that --explain=NAME or --explain NAME asks for; None where it is not given."""
    for place, argument in enumerate(arguments):
        match = re.fullmatch(r"--?explain(?:=(.*))?", argument)
        if match:
            return match[1] if match[1] is not None else "".join(arguments[place + 1 : place + 2])
    return None


def explain(name: str) -> str:
    """Returns a text with each parameter that can be bound: its type, its default and what its docstring says.

    Raises:
      InputError: an unknown name.
    """
    import_tensorflow()
    from nasnet_tf.recipes.table import HINTS, ROWS, TARGETS, defaults, load, parameters

    load()
    if name not in ROWS:
        raise InputError(f"--explain: nothing is called {name!r}{did_you_mean(name, ROWS)}; there are {', '.join(ROWS)}")
    documents = _documents(TARGETS[name])
    told = {each: text.description for document in reversed(documents) for text in document.params for each in text.arg_name.split(", ")}
    hints, known = HINTS[name], defaults(name)
    lines = [name, *(f"  {line}".rstrip() for line in (documents[0].description or "").splitlines()), ""]
    for parameter in parameters(name):
        if parameter in ROWS[name].set_by_us:
            continue
        kind = f": {_type(hints[parameter])}" if parameter in hints else ""
        value = f" = {known[parameter]!r}" if parameter in known else " (required)"
        lines.append(f"  {name}.{parameter}{kind}{value}")
        if text := told.get(parameter):
            lines += textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _documents(target: Any) -> "list[docstring_parser.Docstring]":
    """The docstring of a function or class, then those of its __init__ and of its bases."""
    kinds = [kind for kind in target.__mro__ if kind is not object] if isinstance(target, type) else [target]
    written = [part.__doc__ for kind in kinds for part in (kind, vars(kind).get("__init__")) if part is not None]
    return [docstring_parser.parse(document) for document in written if document]


def _type(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        return values.describe(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(map(_type, typing.get_args(hint)))
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(hint))
