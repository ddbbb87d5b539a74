"""Bindings whose names or defaults have changed: hints for recipes that use the old names, and how to read older work folders."""

import re
from collections.abc import Iterator, Mapping

# The bindings that replace an old one; "..." stands for the old value.
_RENAMED = {
    "train.detector": {"train.task": "@Detection", "Detection.detector": "..."},
    "train.detection_losses": {"Detection.losses": "..."},
}

# Former values of defaults whose change affects results. Work that was begun with a former default keeps it. parse_gin writes the default
# in use into every configuration, so a configuration without it was written by an older version.
FORMER_DEFAULTS = {"NetworkConfig.batch_norm_momentum": "0.9997", "PPOSearch.epochs": "1", "PPOSearch.learning_rate": "0.00035"}


def changed_defaults(bindings: Mapping[str, str], begun: Mapping[str, str] | None) -> Iterator[tuple[str, bool]]:
    """Yields (binding, whether to use its former default) for each changed default that a configuration uses without binding it.

    Args:
      bindings: bindings of the configuration.
      begun: the bindings that the work folder was begun with; None for a new work folder.
    """
    for name, former in FORMER_DEFAULTS.items():
        reference = re.compile(rf"@(\w+/)*{name.rpartition('.')[0]}\b")
        if name not in bindings and any(map(reference.search, bindings.values())):
            yield name, begun is not None and begun.get(name, former) == former


def instead(owner: str, parameter: str) -> str:
    """Returns "; bind ... instead" for a binding that was renamed, else ""."""
    new = _RENAMED.get(f"{owner.rsplit('.', 1)[-1]}.{parameter}", {})
    return f"; bind {' and '.join(f'{name} = {value}' for name, value in new.items())} instead" if new else ""


def translated(bindings: Mapping[str, str]) -> dict[str, str]:
    """Converts the bindings of a config.gin of any version to the names of this version."""
    found: dict[str, str] = {}
    for name, value in bindings.items():
        if name not in _RENAMED:
            found[name] = value
        elif value != "None":  # None was the default and needs no replacement
            found |= {new: value if literal == "..." else literal for new, literal in _RENAMED[name].items()}
    return found
