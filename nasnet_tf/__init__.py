"""NASNet (arXiv 1707.07012): search for convolutional cells, stack them into networks, train, export and use these.

Importing this package imports neither TensorFlow nor gin; the names below are loaded when first used.
"""

import importlib

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
    "export": "nasnet_tf.serving.saved_model",
    "list_models": "nasnet_tf.serving.networks",
    "load_classifier": "nasnet_tf.serving.classifier",
    "load_genotype": "nasnet_tf.genotype",
    "load_nasnet": "nasnet_tf.serving.hub",
    "load_weights": "nasnet_tf.serving.convert_weights",
    "preprocess": "nasnet_tf.serving.images",
    "save_weights": "nasnet_tf.serving.convert_weights",
    "to_keras_applications": "nasnet_tf.serving.convert_weights",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nasnet_tf' has no attribute {name!r}; public names are {', '.join(__all__)}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return __all__
