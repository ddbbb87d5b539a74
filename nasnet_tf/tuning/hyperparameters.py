"""What is tuned: names of gin bindings and their ranges, as KerasTuner's hyperparameters."""

import ast
import json
import math
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand

keras_tuner = OnDemand("keras_tuner")

SAMPLINGS = ("linear", "log", "reverse_log")
_EXPECTED = (
    '("float", low, high), ("int", low, high), either with a sampling out of "linear", "log" and "reverse_log" as a fourth, '
    'or ("choice", [value, ...])'
)


def make_hyperparameters(ranges: Mapping[str, tuple], bindings: Mapping[str, str]) -> "keras_tuner.HyperParameters":
    """KerasTuner's form of ranges such as {"cosine_decay.initial_rate": ("float", 1e-3, 1e-1, "log")}.

    Args:
      ranges: {name of a binding: range}. Ranges include both ends. Choices may be any literals; KerasTuner sees them as text.
      bindings: {name: literal} of the configuration that is tuned.

    Raises:
      InputError: a name that no binding has, another kind than these, or an empty range; the message names the binding.
    """
    if not isinstance(ranges, Mapping) or not ranges:
        raise InputError(f"tune.hyperparameters: expected a dictionary from names of bindings to ranges, got {ranges!r}")
    result = keras_tuner.HyperParameters()
    for name, given in ranges.items():
        if name not in bindings:
            known = ", ".join(sorted(bindings))
            raise InputError(f"tune.hyperparameters: the configuration has no binding {name!r} to tune; it has {known}")
        match given:
            case ("float" | "int" as kind, low, high):
                _add_number(result, name, kind, low, high, "linear")
            case ("float" | "int" as kind, low, high, sampling):
                _add_number(result, name, kind, low, high, sampling)
            case ("choice", [*values]):
                _add_choice(result, name, values)
            case _:
                raise InputError(f"tune.hyperparameters, {name}: expected {_EXPECTED}; got {given!r}")
    return result


def _add_number(result: "keras_tuner.HyperParameters", name: str, kind: str, low, high, sampling) -> None:
    if sampling not in SAMPLINGS:
        raise InputError(f"tune.hyperparameters, {name}: expected a sampling out of {', '.join(SAMPLINGS)}, got {sampling!r}")
    types = (int,) if kind == "int" else (int, float)
    if any(isinstance(end, bool) or not isinstance(end, types) or not math.isfinite(end) for end in (low, high)):
        numbers = "integers" if kind == "int" else "finite numbers"
        raise InputError(f"tune.hyperparameters, {name}: expected {numbers} as the ends of the range, got {low!r} and {high!r}")
    if not low < high:
        raise InputError(f"tune.hyperparameters, {name}: expected a range from low to high, got the empty one from {low!r} to {high!r}")
    if sampling != "linear" and low <= 0:
        raise InputError(f"tune.hyperparameters, {name}: expected a range above 0 for {sampling} sampling, got one from {low!r}")
    add = result.Int if kind == "int" else result.Float
    add(name, low, high, sampling=sampling)


def _add_choice(result: "keras_tuner.HyperParameters", name: str, values: list) -> None:
    literals = [repr(value) for value in values]
    if not literals or len(set(literals)) < len(literals):
        raise InputError(f"tune.hyperparameters, {name}: expected different values to choose from, got {values!r}")
    for literal in literals:
        try:
            ast.literal_eval(literal)
        except (ValueError, SyntaxError) as error:
            raise InputError(f"tune.hyperparameters, {name}: expected numbers, strings and other literals, got {literal}") from error
    result.Choice(name, literals)


def as_literal(value: str | float) -> str:
    """What to write into a gin file for a hyperparameter's value; of choices it is that already."""
    return value if isinstance(value, str) else json.dumps(value)  # not repr, which shows the type of NumPy's numbers
