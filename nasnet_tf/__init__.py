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
    """Loads a public name at its first use; raises InputError if it needs a package that is not installed."""
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        raise extras.missing(error) or error from error


# Modules of the layers, optimizers and losses that descriptions and files of Keras refer to by name.
_SERIALIZABLE = {
    "AuxiliaryHead": "nasnet_tf.models.heads",
    "BoxHead": "nasnet_tf.detection.heads",
    "Cell": "nasnet_tf.models.cell",
    "Dropout": "nasnet_tf.layers.stochastic",
    "GlobalPool": "nasnet_tf.models.heads",
    "Momentum": "nasnet_tf.training.optimizers",
    "Postprocessing": "nasnet_tf.detection.postprocessing",
    "ProposalHead": "nasnet_tf.detection.heads",
    "Proposals": "nasnet_tf.detection.proposals",
    "RMSProp": "nasnet_tf.training.optimizers",
    "RoiPooling": "nasnet_tf.detection.pooling",
    "SmoothedCrossentropy": "nasnet_tf.api.fitting",
    "Stem": "nasnet_tf.models.heads",
}


class _ClassOnDemand:
    """A placeholder that is registered with Keras under the name of a class, and replaced by that class once it is imported."""

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict) -> Any:
        """Imports the class and returns the result of its from_config."""
        return getattr(importlib.import_module(_SERIALIZABLE[self._name]), self._name).from_config(config)


@wrapt.when_imported("keras")
def _register_classes(keras: Any) -> None:
    """Registers the classes of this package with Keras, so that it can read networks; the order of the two imports does not matter."""
    for name in _SERIALIZABLE:
        keras.saving.get_custom_objects().setdefault(f"nasnet_tf>{name}", _ClassOnDemand(name))


class _Package(types.ModuleType):
    """Keeps public functions such as `nasnet_tf.search` in place when the module of the command with the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, types.ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
