"""The flag --explain of commands: lists the names that a recipe can bind, or describes one, such as --explain=TrainingConfig."""

import re
import textwrap
import types
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

from nasnet_tf.base import values
from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.terminal import import_tensorflow
from nasnet_tf.recipes.bindables import BINDABLES, Role

docstring_parser = OnDemand("docstring_parser")

_WIDTH = 100
_LIST_WIDTH = 80


def asked(arguments: Sequence[str]) -> str | None:
    """Returns NAME of --explain=NAME or --explain NAME; "" for --explain alone; None if the flag is not given."""
    for place, argument in enumerate(arguments):
        match = re.fullmatch(r"--?explain(?:=(.*))?", argument)
        if match:
            return match[1] if match[1] is not None else "".join(each for each in arguments[place + 1 : place + 2] if each[:1] != "-")
    return None


def names() -> str:
    """Returns the text that --explain prints: all names that a recipe can bind, by role. Does not load TensorFlow."""
    lines = ["Names whose parameters a recipe can bind. --explain=NAME describes one.", ""]
    width = max(len(role.value) for role in Role)
    for role in Role:
        found = ", ".join(row.name for row in BINDABLES if row.role is role)
        lines += textwrap.wrap(found, _LIST_WIDTH, initial_indent=f"  {role.value:<{width}}  ", subsequent_indent=" " * (width + 4))
    return "\n".join(lines)


class Parameter(NamedTuple):
    """One parameter that can be bound.

    Attributes:
      name: its name.
      type: its type in words; "" if it is unknown.
      default: its default, as gin writes it; None if the parameter must be bound.
      text: its description in the docstring; "" if there is none.
    """

    name: str
    type: str
    default: str | None
    text: str


def described(name: str) -> tuple[str, list[Parameter]]:
    """Returns the docstring of a bindable without its sections, and its parameters.

    Args:
      name: its name in recipes.

    Raises:
      InputError: the name is unknown.
    """
    import_tensorflow()
    from nasnet_tf.recipes.table import HINTS, ROWS, TARGETS, defaults, literal, load, parameters

    load()
    if name not in ROWS:
        raise InputError(f"--explain: unknown name {name!r}{did_you_mean(name, ROWS)}; expected one of {', '.join(ROWS)}")
    documents = _documents(TARGETS[name])
    told = {each: text.description for document in reversed(documents) for text in document.params for each in text.arg_name.split(", ")}
    hints, known = HINTS[name], defaults(name)
    found = [
        Parameter(each, _type(hints[each]) if each in hints else "", literal(known[each]) if each in known else None, told.get(each) or "")
        for each in parameters(name)
        if each not in ROWS[name].set_by_us
    ]
    return documents[0].description or "", found


def explain(name: str) -> str:
    """Returns the text that --explain=NAME prints; raises InputError if the name is unknown."""
    prose, parameters = described(name)
    lines = [name, *(f"  {line}".rstrip() for line in prose.splitlines()), ""]
    for each in parameters:
        value = " (required)" if each.default is None else f" = {each.default}"
        lines.append(f"  {name}.{each.name}{each.type and f': {each.type}'}{value}")
        lines += textwrap.wrap(each.text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _documents(target: Any) -> "list[docstring_parser.Docstring]":
    """Returns the docstrings of a function or class, and of the class's __init__ and its bases, in this order."""
    kinds = [kind for kind in target.__mro__ if kind is not object] if isinstance(target, type) else [target]
    written = [part.__doc__ for kind in kinds for part in (kind, vars(kind).get("__init__")) if part is not None]
    return [docstring_parser.parse(document) for document in written if document]


def _type(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        return values.describe(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(map(_type, typing.get_args(hint)))
    if typing.get_origin(hint) in (tuple, list):
        parts = ("..." if part is Ellipsis else _type(part) for part in typing.get_args(hint))
        return f"{typing.get_origin(hint).__name__}[{', '.join(parts)}]"
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(hint))
