"""Bindings that have other names or other defaults now: what to say of them in a recipe, and how to read them in a work folder."""

import re
from collections.abc import Iterator, Mapping

# What takes the place of a binding; "..." stands for its value.
_RENAMED = {
    "train.detector": {"train.task": "@Detection", "Detection.detector": "..."},
    "train.detection_losses": {"Detection.losses": "..."},
}

# Defaults that have changed, and with them what comes out. Work that was begun with the former default keeps it: parse_gin writes the
# default that counts into every configuration that uses it, so one that lacks it is of an older version.
FORMER_DEFAULTS = {"NetworkConfig.batch_norm_momentum": "0.9997", "PPOSearch.epochs": "1", "PPOSearch.learning_rate": "0.00035"}


def changed_defaults(bindings: Mapping[str, str], begun: Mapping[str, str] | None) -> Iterator[tuple[str, bool]]:
    """Yields (binding, whether its former default counts) for each changed default that a configuration uses and does not bind.

    Args:
      bindings: of the configuration.
      begun: the bindings that the work folder was begun with; None for a new one.
    """
    for name, former in FORMER_DEFAULTS.items():
        reference = re.compile(rf"@(\w+/)*{name.rpartition('.')[0]}\b")
        if name not in bindings and any(map(reference.search, bindings.values())):
            yield name, begun is not None and begun.get(name, former) == former


def instead(owner: str, parameter: str) -> str:
    """Returns "; bind ... instead" for a binding of older versions; "" for others."""
    new = _RENAMED.get(f"{owner.rsplit('.', 1)[-1]}.{parameter}", {})
    return f"; bind {' and '.join(f'{name} = {value}' for name, value in new.items())} instead" if new else ""


def translated(bindings: Mapping[str, str]) -> dict[str, str]:
    """Returns the bindings of a config.gin of any version as this version names them."""
    found: dict[str, str] = {}
    for name, value in bindings.items():
        if name not in _RENAMED:
            found[name] = value
        elif value != "None":  # which was the default, and said nothing
            found |= {new: value if literal == "..." else literal for new, literal in _RENAMED[name].items()}
    return found
