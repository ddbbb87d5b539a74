"""What a recipe may bind, by name, and whether what it binds is of the right kind. nasnet_tf.configurables fills it."""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gin

from nasnet_tf import typed
from nasnet_tf.recipes import did_you_mean

CONFIGURABLES: dict[str, Callable] = {}  # by name
SET_BY_US: dict[str, tuple[str, ...]] = {}  # parameters that are not to be bound
HINTS: dict[str, dict[str, Any]] = {}  # by name, the types of parameters


def register(
    target: Callable,
    name: str | None = None,
    module: str = "nasnet_tf",
    set_by_us: tuple[str, ...] = (),
    hints: Mapping[str, Any] = types.MappingProxyType({}),
) -> Callable:
    """Makes something bindable; returns it as gin configures it.

    Args:
      target: a class or function.
      name: its own if not given.
      set_by_us: parameters that are not to be bound.
      hints: types of parameters, before its own annotations.
    """
    name = name or target.__name__
    CONFIGURABLES[name], SET_BY_US[name] = target, set_by_us
    HINTS[name] = typed.annotations(target) | hints
    return gin.external_configurable(target, name, module=module, denylist=list(set_by_us) or None)


def parameters(name: str) -> list[str]:
    """What may be bound of a configurable."""
    found: dict[str, None] = {}
    for function in _functions(name):
        known = inspect.signature(function).parameters.values()
        found |= dict.fromkeys(
            each.name for each in known if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL) and each.name != "self"
        )
        if not any(each.kind == each.VAR_KEYWORD for each in known):
            break
    return list(found)


def defaults(name: str) -> dict[str, Any]:
    """What parameters of a configurable are where nothing binds them; without those that must be bound."""
    found: dict[str, Any] = {}
    for function in reversed(_functions(name)):
        known = inspect.signature(function).parameters.values()
        found |= {each.name: each.default for each in known if each.default is not each.empty}
    return found


def default(name: str) -> str | None:
    """What "name.parameter" is where nothing binds it, as gin writes it; None where something must."""
    owner, _, parameter = name.rpartition(".")
    known = defaults(owner) if owner.rsplit(".", 1)[-1] in CONFIGURABLES else {}
    return repr(known[parameter]) if parameter in known else None


def _functions(name: str) -> list[Callable]:
    """Those that take the parameters: of a class its __init__ and those of its bases."""
    target = CONFIGURABLES[name.rsplit(".", 1)[-1]]
    return [kind.__init__ for kind in target.__mro__ if "__init__" in kind.__dict__] if isinstance(target, type) else [target]


def mistakes(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, what is wrong) of each binding of gin's configuration whose value is of another type than its parameter. Calls nothing."""
    references = [typed.Reference(name, target, evaluated) for name, target in CONFIGURABLES.items() for evaluated in (False, True)]
    for name in names:
        owner, _, parameter = name.rsplit("/", 1)[-1].rpartition(".")
        if owner.rsplit(".", 1)[-1] not in CONFIGURABLES:
            continue  # a macro
        if parameter not in parameters(owner):
            hint = did_you_mean(parameter, parameters(owner)) or f"; it has {', '.join(parameters(owner))}"
            yield name, f"{name}: {owner} has no such parameter{hint}"
            continue
        hint = HINTS[owner.rsplit(".", 1)[-1]].get(parameter, Any)
        wrong = typed.mistake(name, _judged(gin.query_parameter(name)), hint, references)
        if wrong:
            yield name, wrong


def _judged(value: Any) -> Any:
    """A bound value with gin's references as those that `typed` judges, and macros as what they stand for."""
    if isinstance(value, gin.config.ConfigurableReference):
        name = value.selector.rsplit(".", 1)[-1]
        if name == "macro":
            return _judged(gin.query_parameter(f"{'/'.join(value.scopes)}/macro.value"))
        return typed.Reference("/".join([*value.scopes, name]), CONFIGURABLES[name], value.evaluate)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_judged, value))
    return value
