"""NASNet (arXiv 1707.07012): search for convolutional cells, stack them into networks, train, export and use these.

Importing this package imports neither TensorFlow nor gin. The public names, listed in __init__.pyi, are loaded when first used.
"""

import importlib
import sys
import types
from typing import Any

import lazy_loader
import wrapt

from nasnet_tf.base import extras
from nasnet_tf.version import __version__ as __version__

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """The public name, loaded; InputError if it needs a package that is not installed."""
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        raise extras.missing(error) or error from error


# Layers, optimizers and losses by the names under which Keras finds them in files.
_SERIALIZABLE = {
    "AuxiliaryHead": "nasnet_tf.models.heads",
    "Cell": "nasnet_tf.models.cell",
    "Dropout": "nasnet_tf.layers.stochastic",
    "GlobalPool": "nasnet_tf.models.heads",
    "Momentum": "nasnet_tf.training.optimizers",
    "RMSProp": "nasnet_tf.training.optimizers",
    "SmoothedCrossentropy": "nasnet_tf.api.fitting",
    "Stem": "nasnet_tf.models.heads",
}


class _ClassOnDemand:
    """Stands for a class among Keras' registered ones until the class itself, once imported, takes the place."""

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict) -> Any:
        """What the class's own from_config returns."""
        return getattr(importlib.import_module(_SERIALIZABLE[self._name]), self._name).from_config(config)


@wrapt.when_imported("keras")
def _register_classes(keras: Any) -> None:
    """So that Keras opens our .keras files once this package is imported, before it or after."""
    for name in _SERIALIZABLE:
        keras.saving.get_custom_objects().setdefault(f"nasnet_tf>{name}", _ClassOnDemand(name))


class _Package(types.ModuleType):
    """Keeps `nasnet_tf.search` and others functions when commands of these names, such as the module nasnet_tf.search, are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, types.ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
