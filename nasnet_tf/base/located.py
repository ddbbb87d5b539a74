"""Things by the dotted path of where they are, imported when they are first used."""

import importlib
from typing import Any


def locate(location: str) -> Any:
    """Returns the class or function of this dotted path."""
    module, _, name = location.rpartition(".")
    return getattr(importlib.import_module(module), name)


class Located:
    """A class attribute that is found elsewhere: a task in `training` names what `serving` and `viz` do for it, and imports neither."""

    def __init__(self, location: str):
        self._location = location

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return locate(self._location)
