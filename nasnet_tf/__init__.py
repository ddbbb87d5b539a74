"""NASNet (arXiv 1707.07012): search for convolutional cells, stack them into networks, train, export and use these.

Importing this package imports neither TensorFlow nor gin; the names below are loaded when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:  # what type checkers and editors see of the names below
    from nasnet_tf.detection.model import DetectorConfig as DetectorConfig
    from nasnet_tf.detection.model import build_detector as build_detector
    from nasnet_tf.errors import InputError as InputError
    from nasnet_tf.genotype import load_genotype as load_genotype
    from nasnet_tf.models.costs import count_costs as count_costs
    from nasnet_tf.models.endpoints import cut as cut
    from nasnet_tf.models.endpoints import endpoints_of as endpoints_of
    from nasnet_tf.models.network import NetworkConfig as NetworkConfig
    from nasnet_tf.models.network import build_network as build_network
    from nasnet_tf.nas.table import read_search as read_search
    from nasnet_tf.serving.classifier import load_classifier as load_classifier
    from nasnet_tf.serving.convert_weights import load_weights as load_weights
    from nasnet_tf.serving.convert_weights import save_weights as save_weights
    from nasnet_tf.serving.convert_weights import to_keras_applications as to_keras_applications
    from nasnet_tf.serving.detector import load_detector as load_detector
    from nasnet_tf.serving.exporting import export as export
    from nasnet_tf.serving.hub import load_nasnet as load_nasnet
    from nasnet_tf.serving.images import class_names as class_names
    from nasnet_tf.serving.images import decode_predictions as decode_predictions
    from nasnet_tf.serving.images import preprocess as preprocess
    from nasnet_tf.serving.networks import list_models as list_models

__version__ = "0.2.0"
_PUBLIC = {
    "InputError": "nasnet_tf.errors",
    "NetworkConfig": "nasnet_tf.models.network",
    "build_network": "nasnet_tf.models.network",
    "class_names": "nasnet_tf.serving.images",
    "count_costs": "nasnet_tf.models.costs",
    "decode_predictions": "nasnet_tf.serving.images",
    "cut": "nasnet_tf.models.endpoints",
    "endpoints_of": "nasnet_tf.models.endpoints",
    "export": "nasnet_tf.serving.exporting",
    "list_models": "nasnet_tf.serving.networks",
    "load_classifier": "nasnet_tf.serving.classifier",
    "load_detector": "nasnet_tf.serving.detector",
    "build_detector": "nasnet_tf.detection.model",
    "DetectorConfig": "nasnet_tf.detection.model",
    "load_genotype": "nasnet_tf.genotype",
    "load_nasnet": "nasnet_tf.serving.hub",
    "load_weights": "nasnet_tf.serving.convert_weights",
    "preprocess": "nasnet_tf.serving.images",
    "read_search": "nasnet_tf.nas.table",
    "save_weights": "nasnet_tf.serving.convert_weights",
    "to_keras_applications": "nasnet_tf.serving.convert_weights",
}
# Layers by the names under which Keras finds them in files.
_LAYERS = {
    "AuxiliaryHead": "nasnet_tf.models.heads",
    "Cell": "nasnet_tf.models.cell",
    "Dropout": "nasnet_tf.layers.stochastic",
    "GlobalPool": "nasnet_tf.models.heads",
    "Stem": "nasnet_tf.models.heads",
}
__all__ = sorted(_PUBLIC)  # type checkers read the imports above, and say nothing of this


class _LayerOnDemand:
    """Stands for a layer's class among Keras' registered ones until the class itself, once imported, takes the place."""

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict) -> Any:
        """What the class's own from_config returns."""
        return getattr(importlib.import_module(_LAYERS[self._name]), self._name).from_config(config)


@wrapt.when_imported("keras")
def _register_layers(keras: Any) -> None:
    """So that Keras opens our .keras files once this package is imported, before it or after."""
    for name in _LAYERS:
        keras.saving.get_custom_objects().setdefault(f"nasnet_tf>{name}", _LayerOnDemand(name))


if not TYPE_CHECKING:  # to a checker, any name would be known

    def __getattr__(name: str):
        if name not in _PUBLIC:
            raise AttributeError(f"module 'nasnet_tf' has no attribute {name!r}; public names are {', '.join(__all__)}")
        return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
