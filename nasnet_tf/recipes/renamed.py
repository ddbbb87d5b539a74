"""Bindings that have other names now: what to say of them in a recipe, and how to read them in a work folder's config.gin."""

from collections.abc import Mapping

# What takes the place of a binding; "..." stands for its value.
_RENAMED = {
    "train.detector": {"train.task": "@Detection", "Detection.detector": "..."},
    "train.detection_losses": {"Detection.losses": "..."},
}


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
