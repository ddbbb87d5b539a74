"""Checks values against type annotations and ranges: fields of dataclasses, arguments of functions, and gin bindings before any call."""

import collections.abc
import dataclasses
import functools
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from nasnet_tf.base.errors import InputError

_NUMBERS = {int: "an integer", float: "a number"}
_SCALARS = _NUMBERS | {str: "a string", bool: "True or False", type(None): "None"}


@dataclasses.dataclass(frozen=True)
class Reference:
    """A gin reference that stands for a value: @name for the target itself, @name() for the result of calling it.

    Attributes:
      name: the name in gin.
      target: the function or class that the name refers to.
      evaluated: True for @name().
    """

    name: str
    target: Callable
    evaluated: bool

    def __repr__(self) -> str:
        return f"@{self.name}{'()' if self.evaluated else ''}"

    @property
    def result(self) -> Any:
        """The type that a call of the target returns, from its annotation; Any if it has none."""
        return self.target if isinstance(self.target, type) else annotations(self.target).get("return", Any)


def annotations(target: Callable) -> dict[str, Any]:
    """Returns {parameter: type} of a function or class.

    A parameter without annotation gets the type of its default if that is a number, a string or a bool, and is left out otherwise.
    """
    function = target.__init__ if isinstance(target, type) else target
    defaults = {name: type(parameter.default) for name, parameter in inspect.signature(function).parameters.items()}
    guessed = {name: kind for name, kind in defaults.items() if kind in (int, float, str, bool)}
    try:
        return guessed | typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, InputError):  # InputError: an annotation names an optional package that is not installed
        return guessed


def conforms(value: Any, hint: Any) -> bool:
    """Returns whether a value, or what a Reference stands for, has the annotated type; True if that cannot be decided."""
    if hint is None:
        hint = type(None)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return conforms(value, args[0]) and (isinstance(value, Reference) or args[1].holds(value))
    if origin in (typing.Union, types.UnionType):
        return any(conforms(value, choice) for choice in args)
    if isinstance(value, Reference):
        return _reference_conforms(value, hint)
    if origin is typing.Literal:
        return value in args
    if hint is bool:
        return isinstance(value, bool)
    if hint in _NUMBERS:
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if origin is collections.abc.Callable:
        return callable(value)
    if origin is tuple and args[-1:] != (Ellipsis,):
        return isinstance(value, (tuple, list)) and len(value) == len(args) and all(map(conforms, value, args))
    if origin in (tuple, list, collections.abc.Sequence):
        return isinstance(value, (tuple, list)) and all(conforms(item, args[0]) for item in value)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, Mapping)
    return _is(value, hint, isinstance)


def _reference_conforms(reference: Reference, hint: Any) -> bool:
    result, args = reference.result, typing.get_args(hint)
    if typing.get_origin(hint) is collections.abc.Callable:
        return _gives(result, hint) if reference.evaluated else _gives(result, args[1])
    if isinstance(hint, type) and not reference.evaluated:
        return hint is object
    return _gives(result, hint)


def _gives(result: Any, hint: Any) -> bool:
    """Returns whether a value of the type `result` is also of the type `hint`; True if that cannot be decided."""
    result, hint = (kind.__origin__ if typing.get_origin(kind) is typing.Annotated else kind for kind in (result, hint))
    if Any in (result, hint):
        return True
    for kind, judge in ((result, all), (hint, any)):
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            choices = typing.get_args(kind)
            return judge(_gives(choice, hint) if kind is result else _gives(result, choice) for choice in choices)
    if typing.get_origin(hint) is collections.abc.Callable:
        if isinstance(result, type):
            is_callable = any("__call__" in base.__dict__ for base in result.__mro__)
            return is_callable and _gives(annotations(result.__call__).get("return", Any), typing.get_args(hint)[1])
        return typing.get_origin(result) is collections.abc.Callable and _gives(typing.get_args(result)[1], typing.get_args(hint)[1])
    result, hint = (typing.get_origin(kind) or kind for kind in (result, hint))
    return (hint is float and result is int) or _is(result, hint, issubclass)


def _is(value: Any, hint: Any, judge: Callable) -> bool:
    try:
        return judge(value, hint)
    except TypeError:  # isinstance and issubclass reject protocols, type variables and parametrized types
        return True


def describe(hint: Any, references: Iterable[Reference] = ()) -> str:
    """Describes a type in words for "expected ..."; for classes and functions, lists the gin references that produce one."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return args[1].text
    if origin in (typing.Union, types.UnionType):
        others = [choice for choice in args if choice is not type(None)]
        texts = dict.fromkeys([*(describe(choice, references) for choice in others), *(["None"] * (len(others) < len(args)))])
        return (", or " if any(" or " in text for text in texts) else " or ").join(texts)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, args))
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is tuple and args[-1:] != (Ellipsis,):
        return f"{len(args)} values, ({', '.join(map(describe, args))})"
    if origin in (tuple, list, collections.abc.Sequence):
        return f"a list, each item {describe(args[0])}"
    if origin in (dict, collections.abc.Mapping) or hint in (dict, Mapping):
        return "a dictionary"
    fitting = [str(reference) for reference in references if conforms(reference, hint)]
    if fitting:
        return fitting[0] if len(fitting) == 1 else f"one of {', '.join(fitting)}"
    if origin is collections.abc.Callable:
        return "a function"
    return f"a {hint.__name__}" if isinstance(hint, type) else str(hint)


def mistake(name: str, value: Any, hint: Any, references: Iterable[Reference] = ()) -> str | None:
    """Returns a line that says what was expected and what was found, or None if the value has the annotated type."""
    if conforms(value, hint):
        return None
    got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
    return f"{name}: expected {describe(hint, references)}, got {got if len(got) <= 200 else got[:200] + '...'}"


def check_value(name: str, value: Any, hint: Any) -> None:
    """Raises InputError if the value does not have the annotated type or range."""
    if wrong := mistake(name, value, hint):
        raise InputError(wrong)


def check(owner: str, values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Raises InputError for the first value that does not have the type in `hints`; values without a hint are not checked.

    Args:
      owner: the class or function that the message names.
      values: {parameter: value}.
      hints: {parameter: type}.
    """
    for name, value in values.items():
        if name in hints:
            check_value(f"{owner}.{name}", value, hints[name])


def check_fields(instance: Any) -> None:
    """Raises InputError for the first field of a dataclass that does not have its annotated type. Call it first in __post_init__."""
    kind = type(instance)
    check(kind.__name__, {field.name: getattr(instance, field.name) for field in dataclasses.fields(kind)}, annotations(kind))


def checked(function: Callable) -> Callable:
    """Decorator that checks the arguments of a function, or of an __init__, against their annotations at each call."""
    signature, owner = inspect.signature(function), function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def call(*args, **kwargs):
        check(owner, signature.bind(*args, **kwargs).arguments, annotations(function))
        return function(*args, **kwargs)

    return call


@dataclasses.dataclass(frozen=True)
class Within:
    """A condition on values of a type, used as the second argument of `Annotated`.

    Attributes:
      text: completes "expected ..." and includes the type, such as "an integer of 1 or more".
      holds: function that returns whether a value of the type satisfies the condition.
    """

    text: str
    holds: Callable[[Any], bool]


def _from(least: int) -> Within:
    return Within(f"an integer of {least} or more", lambda value: value >= least)


def at_least(least: int) -> Any:
    """Returns the type of the integers that are at least `least`."""
    return Annotated[int, _from(least)]


def up_to(most: int) -> Within:
    """Returns the condition that an integer is from 1 to `most`."""
    return Within(f"an integer from 1 to {most:,}", lambda value: 1 <= value <= most)


# Not written as calls of at_least, because type checkers do not evaluate calls in annotations.
Count = Annotated[int, _from(1)]
Natural = Annotated[int, _from(0)]
Seed = Annotated[int, Within("an integer of 0 or more, below 2^31", lambda value: 0 <= value < 2**31)]
Positive = Annotated[float, Within("a positive number", lambda value: value > 0)]
NotNegative = Annotated[float, Within("a number of 0 or more", lambda value: value >= 0)]
Share = Annotated[float, Within("a number in [0, 1)", lambda value: 0 <= value < 1)]
Part = Annotated[float, Within("a number in [0, 1]", lambda value: 0 <= value <= 1)]
PositivePart = Annotated[float, Within("a number in (0, 1]", lambda value: 0 < value <= 1)]
PositiveShare = Annotated[float, Within("a number in (0, 1)", lambda value: 0 < value < 1)]


def expect(is_right: bool, what: str, expected: str, value) -> None:
    """Raises InputError "what: expected ..., got value" unless `is_right`."""
    if not is_right:
        raise InputError(f"{what}: expected {expected}, got {value!r}")


def check_classes(num_classes) -> int | None:
    """Returns num_classes as an int, or None for a network without classifier; raises InputError for anything else."""
    check_value("num_classes", num_classes, Count | None)
    return None if num_classes is None else int(num_classes)


def check_image_size(image_size) -> tuple[int | None, int | None]:
    """Returns (height, width) in pixels; raises InputError for an invalid size.

    Args:
      image_size: an integer for both sides, or a pair (height, width) in which None stands for any size.
    """
    pair = image_size if isinstance(image_size, Sequence) and not isinstance(image_size, str) else (image_size, image_size)
    is_right = len(pair) == 2 and all(conforms(size, Count) or (size is None and pair is image_size) for size in pair)
    expect(is_right, "image_size", "an integer of 1 or more, a pair of them (height, width), or (None, None) for any size", image_size)
    return tuple(None if size is None else int(size) for size in pair)
