"""Converts flags of commands and arguments of calls to bindings. This module needs neither gin nor TensorFlow."""

import numbers
from collections.abc import Collection, Mapping
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.recipes.bindables import NAMES

RETRAIN = "retrain/"
HELD_OUT = "10%"  # fraction of the training examples used for validation, if there is no validation split


def data_bindings(source: str, scopes: Collection[str] = ("",)) -> dict[str, Any]:
    """Returns the bindings of ImageData for a data set.

    The splits are bound too, because those of a recipe belong to the recipe's data set.

    Args:
      source: name of the data set, as for `open_source`.
      scopes: gin scopes whose splits are bound: "" and, for a search, also RETRAIN.
    """
    splits = {"train_split": "train", "validation_split": None, "validation_examples": HELD_OUT, "test_split": "test"}
    return {"ImageData.source": source} | {f"{scope}ImageData.{name}": value for scope in scopes for name, value in splits.items()}


def lines(bindings: Mapping[str, Any]) -> list[str]:
    """Returns bindings as lines of a recipe, "name.parameter = value".

    Args:
      bindings: {"name.parameter": value}. Text that begins with "@" or "%" is a reference or a macro of gin, such as "@RandomSearch".

    Raises:
      InputError: a name has no parameter, or a value cannot be written in a recipe.
    """
    if wrong := next((name for name in bindings if name in NAMES), None):  # gin would accept it as a macro that nothing uses
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
        value = value.item()  # converts a NumPy scalar
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)
    known = f", such as '@{type(value).__name__}()'" if type(value).__name__ in NAMES else ""
    raise InputError(f"bindings: {name}: expected numbers, texts, lists of them, or a reference as text{known}; got {type(value).__name__}")
