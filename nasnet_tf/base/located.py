"""Things by the dotted path of where they are, imported when they are first used."""

import importlib
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import missing


def locate(location: str) -> Any:
    """Returns the class or function of this dotted path."""
    module, _, name = location.rpartition(".")
    return getattr(importlib.import_module(module), name)


class MissingExtra(InputError, AttributeError):
    """An attribute needs a package that is not installed. Whoever only looks through a class, as gin does, takes it for absent."""


class Located:
    """A class attribute that is found elsewhere: a task in `training` names what `serving` and `viz` do for it, and imports neither."""

    def __init__(self, location: str):
        self._location = location

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        try:
            return locate(self._location)
        except ModuleNotFoundError as error:
            told = missing(error)
            if told is None:
                raise
            raise MissingExtra(str(told)) from error
