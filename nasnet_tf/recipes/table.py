"""Looks up bindables by name: their parameters, defaults and types, and which of them may change when a work folder is resumed."""

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

import gin

from nasnet_tf.base import extras, values
from nasnet_tf.base.errors import did_you_mean
from nasnet_tf.base.located import locate
from nasnet_tf.recipes import renamed
from nasnet_tf.recipes.bindables import BINDABLES, Bindable, Role

RETRAIN_SCOPE = "retrain"  # gin scope of bindings that apply only to the retraining of a search
ROWS: dict[str, Bindable] = {}  # rows of the table by name, without those whose package is not installed
TARGETS: dict[str, Callable] = {}  # class or function of each row, by name
HINTS: dict[str, dict[str, Any]] = {}  # types of the parameters of each row, by name
_CHANGEABLE_ROLES = (Role.ENGINE, Role.TOLERANCE)  # these affect how and where children run, but not the results
# Early stopping compares children at the same evaluations, and one rule must apply to all children of a search.
_LASTING_IN_SEARCHES = ("TrainingConfig.evaluate_every_epochs", "TrainingConfig.patience")


def load() -> None:
    """Imports all bindables and registers them with gin; does nothing if that was done before."""
    if ROWS:
        return
    ROWS.update({row.name: row for row in BINDABLES if extras.is_installed(row.package)})
    for name, row in ROWS.items():
        target = TARGETS[name] = locate(row.location)
        HINTS[name] = values.annotations(target) | row.hints
        gin_module = "nasnet_tf" if row.package == "nasnet_tf" else row.location.rpartition(".")[0]
        gin.external_configurable(target, name, module=gin_module, denylist=list(row.set_by_us) or None)


def bound(name: str) -> Callable:
    """Returns a class or function of this package, by its name in recipes, with the bindings of gin applied."""
    load()
    return gin.get_configurable(f"nasnet_tf.{name}")


def value_of(name: str, parameter: str) -> Any:
    """Returns the value to which a parameter of a class or function is bound, with references resolved; None if it is not bound."""
    load()
    return gin.get_bindings(name).get(parameter)


def parameters(name: str) -> list[str]:
    """Returns the names of all parameters of a bindable, including those that the package sets."""
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
    """Returns the default values of the parameters that have one."""
    found: dict[str, Any] = {}
    for function in reversed(_functions(name)):
        known = inspect.signature(function).parameters.values()
        found |= {each.name: each.default for each in known if each.default is not each.empty}
    return found


def default(binding: str) -> str | None:
    """Returns the default of "name.parameter" as gin writes it; None if the parameter has no default or is unknown."""
    load()
    owner, _, parameter = binding.rpartition(".")
    known = defaults(owner) if owner.rsplit(".", 1)[-1] in ROWS else {}
    return literal(known[parameter]) if parameter in known else None


def default_at_start(binding: str) -> str | None:
    """Returns the default of a binding that a saved configuration lacks: the former default, if the default has changed since."""
    return renamed.FORMER_DEFAULTS.get(binding) or default(binding)


def literal(value: Any) -> str:
    """Returns a default value as gin writes it."""
    names = [f"@{name}" for name, target in TARGETS.items() if target is value]
    return names[0] if names else repr(value)


def no_such(owner: str, parameter: str) -> str:
    """Returns a hint for an unknown parameter: its new name, the most similar name, or a list of all names."""
    known = parameters(owner)
    return renamed.instead(owner, parameter) or did_you_mean(parameter, known) or f"; it has {', '.join(known)}"


def may_change(is_search: bool) -> tuple[str, ...]:
    """Returns patterns of "name.parameter" for the bindings that may change when a work folder is resumed.

    Args:
      is_search: whether it is the work folder of a search, where fewer bindings may change.
    """
    load()
    found = [f"{name}.{parameter}" for name, row in ROWS.items() for parameter in _changeable(row)]
    return tuple(pattern for pattern in found if not (is_search and pattern in _LASTING_IN_SEARCHES))


def _changeable(row: Bindable) -> tuple[str, ...]:
    return ("*",) if row.role in _CHANGEABLE_ROLES else row.may_change or getattr(TARGETS[row.name], "MAY_CHANGE", ())


def choices() -> tuple[str, ...]:
    """Returns patterns of "name.parameter" for the bindings that affect which architectures are tried, but not their rewards."""
    load()
    return tuple(
        f"{name}.{parameter}" for name, row in ROWS.items() for parameter in (("*",) if row.role is Role.STRATEGY else row.chooses)
    )


def _functions(name: str) -> list[Callable]:
    """Returns the functions that take the parameters: for a class, its __init__ and those of its bases."""
    target = TARGETS[name.rsplit(".", 1)[-1]]
    return [kind.__init__ for kind in target.__mro__ if "__init__" in kind.__dict__] if isinstance(target, type) else [target]


def mistakes(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields (binding, message) for each binding of gin's configuration that its parameter does not accept, without calling anything."""
    references = [values.Reference(name, target, evaluated) for name, target in TARGETS.items() for evaluated in (False, True)]
    for name in names:
        owner, _, parameter = name.rsplit("/", 1)[-1].rpartition(".")
        if owner.rsplit(".", 1)[-1] not in ROWS:
            continue  # a macro
        if parameter not in parameters(owner):
            yield name, f"{name}: {owner} has no such parameter{no_such(owner, parameter)}"
            continue
        hint = HINTS[owner.rsplit(".", 1)[-1]].get(parameter, Any)
        value = _resolved(gin.query_parameter(name))
        if wrong := values.mistake(name, value, hint, references):
            yield name, wrong
        for reference in value if isinstance(value, (list, tuple)) else [value]:
            is_called = isinstance(reference, values.Reference) and reference.evaluated
            if is_called and (missing := _unbound(reference, name.rpartition("/")[0])):
                yield name, f"{name}: {reference} needs a binding for {', '.join(missing)}"


def _unbound(reference: values.Reference, scope: str) -> list[str]:
    """Returns "name.parameter" for each parameter without a value in a call of a reference that is bound in `scope`."""
    own_scope, _, name = reference.name.rpartition("/")
    with gin.config_scope([part for part in (*scope.split("/"), *own_scope.split("/")) if part]):
        given = {*gin.get_bindings(name, resolve_references=False), *defaults(name), *ROWS[name].set_by_us}
    return [f"{name}.{parameter}" for parameter in parameters(name) if parameter not in given]


def _resolved(value: Any) -> Any:
    """Returns a bound value with gin's references replaced by values.Reference, and macros by their values."""
    if isinstance(value, gin.config.ConfigurableReference):
        name = value.selector.rsplit(".", 1)[-1]
        if name == "macro":
            return _resolved(gin.query_parameter(f"{'/'.join(value.scopes)}/macro.value"))
        return values.Reference("/".join([*value.scopes, name]), TARGETS[name], value.evaluate)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_resolved, value))
    return value
