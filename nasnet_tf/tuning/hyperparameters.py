"""What is tuned: names of gin bindings and their ranges, as KerasTuner's hyperparameters."""

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
    expect(sampling in SAMPLINGS, where, f"a sampling out of {', '.join(SAMPLINGS)}", sampling)
    allowed, expected = (int, "integers") if kind == "int" else (int | float, "finite numbers")
    are_right = all(isinstance(end, allowed) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    expect(are_right, where, f"{expected} as the ends of the range", ends)
    expect(low < high, where, "a range from low to high that is not empty", ends)
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
    """What to write into a gin file for a hyperparameter's value; of choices it is that already."""
    return value if isinstance(value, str) else json.dumps(value)  # not repr, which shows the type of NumPy's numbers
