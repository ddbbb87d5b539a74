"""Bindings that flags of commands and arguments of calls stand for. Needs neither gin nor TensorFlow."""

import numbers
from collections.abc import Collection, Mapping
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.recipes.bindables import NAMES

RETRAIN = "retrain/"
HELD_OUT = "10%"  # of the training examples, where nothing else validates


def data_bindings(source: str, scopes: Collection[str] = ("",)) -> dict[str, Any]:
    """Returns the bindings of ImageData for a data set by its name; a recipe's splits are of its own data set.

    Args:
      source: as `open_source` takes it.
      scopes: "" and, of a search, RETRAIN, whose splits differ in recipes.
    """
    splits = {"train_split": "train", "validation_split": None, "validation_examples": HELD_OUT, "test_split": "test"}
    return {"ImageData.source": source} | {f"{scope}ImageData.{name}": value for scope in scopes for name, value in splits.items()}


def lines(bindings: Mapping[str, Any]) -> list[str]:
    """Returns bindings as a recipe has them, "name.parameter = value".

    Args:
      bindings: {"name.parameter": value}; a text that begins with "@" or "%" is a reference or a macro of gin, as in "@RandomSearch".

    Raises:
      InputError: a value that a recipe could not say.
    """
    if wrong := next((name for name in bindings if name in NAMES), None):  # gin would take it for a macro, which nothing uses
        raise InputError(f"bindings: expected {{'name.parameter': value}}, got {wrong!r} without a parameter")
    return [f"{name} = {_literal(name, value)}" for name, value in bindings.items()]


def _literal(name: str, value: Any) -> str:
    if isinstance(value, str) and value.startswith(("@", "%")):
        return value
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(name, key)}: {_literal(name, item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        items = ", ".join(_literal(name, item) for item in value)
        return f"[{items}]" if isinstance(value, list) else f"({items}{',' if len(value) == 1 else ''})"
    if isinstance(value, numbers.Number) and hasattr(value, "item"):
        value = value.item()  # of NumPy
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)
    known = f", such as '@{type(value).__name__}()'" if type(value).__name__ in NAMES else ""
    raise InputError(f"bindings: {name}: expected numbers, texts, lists of them, or a reference as text{known}; got {type(value).__name__}")
