"""Bindings that have other names now: what to say of them in a recipe, and how to read them in a work folder's config.gin."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class _New:
    """Attributes:
    name: the binding that takes the value.
    besides: bindings that go with it.
    """

    name: str
    besides: tuple[tuple[str, str], ...] = ()


_RENAMED = {
    "train.detector": _New("Detection.detector", (("train.task", "@Detection"),)),
    "train.detection_losses": _New("Detection.losses"),
}


def instead(owner: str, parameter: str) -> str:
    """Returns "; bind ... instead" for a binding of older versions; "" for others."""
    new = _RENAMED.get(f"{owner.rsplit('.', 1)[-1]}.{parameter}")
    if new is None:
        return ""
    return f"; bind {' and '.join([*(f'{name} = {value}' for name, value in new.besides), f'{new.name} = ...'])} instead"


def translated(bindings: Mapping[str, str]) -> dict[str, str]:
    """Returns the bindings of a config.gin of any version as this version names them."""
    found: dict[str, str] = {}
    for name, value in bindings.items():
        new = _RENAMED.get(name)
        if new is None:
            found[name] = value
        elif value != "None":  # which was the default, and said nothing
            found |= {**dict(new.besides), new.name: value}
    return found
