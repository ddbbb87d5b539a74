"""Decides whether a work folder belongs to a configuration. Trainings, searches, retrainings and tunings share this rule."""

import dataclasses
import fnmatch
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nasnet_tf.base.errors import InputError

CONFIG_NAME = "config.gin"
# Hint for the error message, by kind of work: how a new folder can start from the results in the old one.
_STARTING_FROM = {
    "training": " (train.initial_weights = '{folder}' makes it start from these weights)",
    "search": " (search.take_over = ['{folder}'] makes it reuse these trials)",
}
_MAX_SHOWN = 200  # longest value in a message, in characters


@dataclasses.dataclass(frozen=True)
class Identity:
    """The configuration values that identify a piece of work: a work folder can be resumed only with the same ones.

    Attributes:
      values: {name: JSON value}; usually bindings, "name.parameter" or "scope/name.parameter", as text.
      may_change: patterns of "name.parameter", in any scope, of values that may differ when the work is resumed. They set how long and
        where the work runs and do not affect its results.
      default: function that returns the default of a name, used where a configuration does not bind it. So a folder that was begun before
        the parameter existed can still be resumed. It is not used for names with a scope: a configuration that binds "scope/name" differs
        from one that does not.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    may_change: tuple[str, ...] = ()
    default: Callable[[str], Any] = lambda name: "None"

    def without(self, patterns: Iterable[str]) -> "Identity":
        """Returns a copy that also allows the values that match these patterns to change."""
        return dataclasses.replace(self, may_change=(*self.may_change, *patterns))

    def keeping(self, names: Iterable[str]) -> "Identity":
        """Returns a copy that does not allow the values of these names to change."""
        kept = [pattern for pattern in self.may_change if not any(_matches(name, pattern) for name in names)]
        return dataclasses.replace(self, may_change=tuple(kept))

    def lasting(self, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns those of the given values (by default this identity's values) that may not change."""
        values = self.values if values is None else values
        return {name: value for name, value in values.items() if not self._may_change(name)}

    def _may_change(self, name: str) -> bool:
        return any(_matches(name, pattern) for pattern in self.may_change)

    def difference(self, old: Mapping[str, Any]) -> str | None:
        """Returns the first value that may not change and differs, as "name was A, is B"; None if there is none."""
        old, new = self.lasting(old), self.lasting()

        def effective(values: Mapping[str, Any], name: str) -> Any:
            return values.get(name, None if "/" in name else self.default(name))

        for name in [*old, *(name for name in new if name not in old)]:
            if effective(old, name) != effective(new, name):
                return f"{name} was {_shown(old, name)}, is {_shown(new, name)}"
        return None

    def check(self, folder: pathlib.Path, old: Mapping[str, Any], kind: str, file: str = "") -> None:
        """Raises InputError if the folder was begun with other values.

        Args:
          folder: the work folder, for the message.
          old: the values that the folder was begun with.
          kind: kind of work in the folder: "search", "training" or "tuning".
          file: name of the file that holds `old`, for the message.
        """
        difference = self.difference(old)
        if difference:
            where = f"{file}, " if file else ""
            raise InputError(
                f"{folder}: was begun with another configuration: {where}{difference}; restore the old value, use another --workdir"
                f"{_STARTING_FROM.get(kind, '').format(folder=folder)}, or remove {folder}"
            )


def _matches(name: str, pattern: str) -> bool:
    """Returns whether a name, without its scope, matches a pattern."""
    return fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], pattern)


def _shown(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "not bound"
    text = values[name] if isinstance(values[name], str) else json.dumps(values[name])
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def flattened(value: Any, place: str = "") -> dict[str, Any]:
    """Returns {path: leaf} of a JSON value, with paths such as "layers[3].name"; empty lists and objects are leaves."""
    if isinstance(value, dict) and value:
        pairs = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {place: value}
    return {where: leaf for name, item in pairs for where, leaf in flattened(item, name).items()}


def bindings(config_text: str) -> dict[str, str]:
    """Returns {"name.parameter": "value"} for a configuration with one binding per line, as recipes.reading.parse_gin returns it."""
    lines = [line for line in config_text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def read_bindings(path: pathlib.Path) -> dict[str, str]:
    """Returns {"name.parameter": "value"} for the configuration in a file; raises InputError if it is damaged."""
    try:
        return bindings(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged; expected the bindings that this folder was begun with, one per line") from error
