"""Safetensors files (github.com/huggingface/safetensors): our weights by their paths, with the network's description as metadata."""

import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np
import safetensors
import safetensors.numpy

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import what_is_there
from nasnet_tf.version import __version__

SUFFIX = ".safetensors"
_TYPE = "F32"  # the format's name of float32, the type of every weight of a network


def open_tensors(path: pathlib.Path) -> tuple[Mapping[str, tuple[int, ...]], Callable[[str], np.ndarray]]:
    """Opens a file without reading a value; returns ({path of a weight: shape}, function from such a path to the value).

    Raises:
      InputError: the file is missing or damaged, or holds other numbers than float32.
    """
    if not path.is_file():
        raise InputError(f"{path}: {what_is_there(path)}; expected a {SUFFIX} file")
    try:
        file = safetensors.safe_open(path, "numpy")
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  the file is not a mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: damaged, cut short, or not a {SUFFIX} file: {reason(error)}") from error
    others = [f"{name} is {part.get_dtype()}" for name, part in parts.items() if part.get_dtype() != _TYPE]
    if others:
        raise InputError(f"{path}: expected tensors of type {_TYPE}; {len(others)} of {len(parts)} differ, the first: {others[0]}")
    return {name: tuple(part.get_shape()) for name, part in parts.items()}, file.get_tensor


def write(model: keras.Model, path: pathlib.Path) -> None:
    """Writes all weights by their paths. The metadata holds Keras' description of the network, like config.json of a .keras file."""
    values = {weight.path: np.ascontiguousarray(weight.numpy()) for weight in model.weights}
    metadata = {"package": f"nasnet_tf {__version__}", "model.json": model.to_json()}
    path.write_bytes(safetensors.numpy.save(values, metadata))  # save_file raises errors of its own when the disk is full
