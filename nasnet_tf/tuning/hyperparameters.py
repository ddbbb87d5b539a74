"""Converts names of gin bindings and their ranges to KerasTuner's hyperparameters."""

import ast
import json
import math
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.values import expect

keras_tuner = OnDemand("keras_tuner")

SAMPLINGS = ("linear", "log", "reverse_log")
_EXPECTED = (
    '("float", low, high) or ("int", low, high), optionally with a fourth item "linear", "log" or "reverse_log" for the sampling, '
    'or ("choice", [value, ...])'
)


def make_hyperparameters(ranges: Mapping[str, tuple], bindings: Mapping[str, str]) -> "keras_tuner.HyperParameters":
    """Converts ranges such as {"cosine_decay.initial_rate": ("float", 1e-3, 1e-1, "log")} to KerasTuner's hyperparameters.

    Args:
      ranges: {name of a binding: range}. A range is ("float", low, high), ("int", low, high) or ("choice", [value, ...]). The first two
        include both ends and can have one of SAMPLINGS as a fourth item. Choices can be any literals; KerasTuner gets them as
        text.
      bindings: {name: literal}, the configuration that is tuned.

    Raises:
      InputError: there is no binding of this name, or its range is malformed or empty. The message names the binding.
    """
    is_right = isinstance(ranges, Mapping) and len(ranges) > 0
    expect(is_right, "tune.hyperparameters", "a dictionary from names of bindings to ranges", ranges)
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
    where, ends = f"tune.hyperparameters, {name}", (low, high)
    expect(sampling in SAMPLINGS, where, f"one of the samplings {', '.join(SAMPLINGS)}", sampling)
    allowed, expected = (int, "integers") if kind == "int" else (int | float, "finite numbers")
    are_right = all(isinstance(end, allowed) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    expect(are_right, where, f"{expected} as the ends of the range", ends)
    expect(low < high, where, "low to be less than high", ends)
    expect(sampling == "linear" or low > 0, where, f"a range above 0 for {sampling} sampling", ends)
    add = result.Int if kind == "int" else result.Float
    add(name, low, high, sampling=sampling)


def _add_choice(result: "keras_tuner.HyperParameters", name: str, values: list) -> None:
    literals = [repr(value) for value in values]
    are_different = 0 < len(literals) == len(set(literals))
    expect(are_different, f"tune.hyperparameters, {name}", "different values to choose from", values)
    for literal in literals:
        try:
            ast.literal_eval(literal)
        except (ValueError, SyntaxError) as error:
            raise InputError(f"tune.hyperparameters, {name}: expected numbers, strings and other literals, got {literal}") from error
    result.Choice(name, literals)


def as_literal(value: str | float) -> str:
    """Returns the gin literal for the value of a hyperparameter. The value of a choice is a literal already."""
    return value if isinstance(value, str) else json.dumps(value)  # repr would add the type of NumPy numbers
