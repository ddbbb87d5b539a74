"""Optional packages: which pip extra installs each one, and a one-line error that names the extra when a package is missing."""

import importlib
import importlib.util
from typing import Any

from nasnet_tf.base.errors import InputError

# Module: (name of the pip package, the extra that installs it).
PACKAGES = {
    "PIL": ("pillow", "onnx"),
    "ai_edge_litert": ("ai-edge-litert", "tflite"),
    "docstring_parser": ("docstring-parser", "train"),
    "gin": ("gin-config", "train"),
    "google_crc32c": ("google-crc32c", "train"),
    "importlib_resources": ("importlib_resources", "train"),
    "keras_tuner": ("keras-tuner", "search"),
    "matplotlib": ("matplotlib", "pictures"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "pebble": ("pebble", "search"),
    "pycocotools": ("pycocotools", "detection"),
    "ray": ("ray", "ray"),
    "scipy": ("scipy", "search"),
    "sklearn": ("scikit-learn", "train"),
    "tensorboard": ("tensorboard", "train"),
    "tensorflow_datasets": ("tensorflow-datasets", "train"),
    "tensorflow_serving": ("tensorflow-serving-api", "serving"),
    "tf2onnx": ("tf2onnx", "onnx"),
    "threadpoolctl": ("threadpoolctl", "search"),
}


def is_installed(module: str) -> bool:
    """Returns whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def missing(error: ModuleNotFoundError) -> InputError | None:
    """Returns the error for the user when an optional package is missing; None if the package belongs to no extra."""
    module = (error.name or "").split(".")[0]
    if module not in PACKAGES:
        return None
    package, extra = PACKAGES[module]
    return InputError(f"the package {package} is not installed; it comes with: pip install 'nasnet_tf[{extra}]'")


class OnDemand:
    """A stand-in for an optional package that imports it when one of its attributes is first used.

    Raises:
      InputError: an attribute is used and the package is not installed.
    """

    def __init__(self, module: str):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module(self._module), name)
        except ModuleNotFoundError as error:
            raise missing(error) or error from error
