"""NASNet (arXiv 1707.07012): search for convolutional cells, stack them into networks, train, export and use these.

Importing this package imports neither TensorFlow nor gin; the names below are loaded when first used.
"""

import importlib

import wrapt

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
__all__ = sorted(_PUBLIC)


class _LayerOnDemand:
    """Stands for a layer's class among Keras' registered ones until the class itself, once imported, takes the place."""

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict):
        """What the class's own from_config returns."""
        return getattr(importlib.import_module(_LAYERS[self._name]), self._name).from_config(config)


@wrapt.when_imported("keras")
def _register_layers(keras):
    """So that Keras opens our .keras files once this package is imported, before it or after."""
    for name in _LAYERS:
        keras.saving.get_custom_objects().setdefault(f"nasnet_tf>{name}", _LayerOnDemand(name))


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nasnet_tf' has no attribute {name!r}; public names are {', '.join(__all__)}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return __all__
