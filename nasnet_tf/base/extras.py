"""Packages that not everybody needs: each belongs to an extra of the installation, and one that is missing is asked for in one line."""

import importlib
import importlib.util
from typing import Any

from nasnet_tf.base.errors import InputError

# Module: (what pip calls it, the extra that brings it).
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
    """Whether a package of an extra is there."""
    return importlib.util.find_spec(module) is not None


def missing(error: ModuleNotFoundError) -> InputError | None:
    """What to tell a person of a package that is not there; None where it belongs to no extra."""
    module = (error.name or "").split(".")[0]
    if module not in PACKAGES:
        return None
    package, extra = PACKAGES[module]
    return InputError(f"the package {package} is not installed; it comes with: pip install 'nasnet_tf[{extra}]'")


class OnDemand:
    """Stands for a package of an extra, which is imported when something of it is first used.

    Raises:
      InputError: then, if it is not installed.
    """

    def __init__(self, module: str):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module(self._module), name)
        except ModuleNotFoundError as error:
            raise missing(error) or error from error
