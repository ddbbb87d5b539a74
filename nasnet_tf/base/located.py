"""References to classes and functions by dotted path, imported on first use."""

import importlib
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import missing


def locate(location: str) -> Any:
    """Imports and returns the class or function at a dotted path."""
    module, _, name = location.rpartition(".")
    return getattr(importlib.import_module(module), name)


class MissingExtra(InputError, AttributeError):
    """An attribute needs a package that is not installed.

    It is also an AttributeError, so that code that inspects classes, such as gin, treats the attribute as absent.
    """


class Located:
    """A class attribute given as a dotted path and imported on access.

    So a task in `training` can name its functions in `serving` and `viz`, which `training` must not import.
    """

    def __init__(self, location: str):
        self._location = location

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        try:
            return locate(self._location)
        except ModuleNotFoundError as error:
            missing_extra = missing(error)
            if missing_extra is None:
                raise
            raise MissingExtra(str(missing_extra)) from error
