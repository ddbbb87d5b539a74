"""A network of ours as one .keras file, as Keras writes it, with data.json besides: opened by Keras and by load_nasnet."""

import json
import pathlib
import zipfile
import zlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import check_unpacked_size
from nasnet_tf.models.description import network_from_json
from nasnet_tf.serving.exports.export_input import ExportInput, probabilities
from nasnet_tf.serving.weights.convert import load_weights

_CONFIG, _DATA = "config.json", "data.json"


def write(given: ExportInput, path: pathlib.Path) -> None:
    """Writes the file."""
    given.model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(_DATA, json.dumps(given.data_description))


def open_probabilities(path: pathlib.Path, given: ExportInput) -> Callable[[np.ndarray], np.ndarray]:
    """A file as a function of images in [0, 1], opened by Keras."""
    model = keras.saving.load_model(path, compile=False)

    @tf.function(autograph=False)
    def run(images):
        return probabilities(model(given.preprocessing.normalize(images), training=False), given.data_description)

    return lambda images: run(tf.constant(images)).numpy()


def read_network(path: pathlib.Path, with_weights: bool = True) -> keras.Model:
    """The network of a file. It is built of known classes only, whatever the file says.

    Raises:
      InputError: no such file, a damaged one, or one that is not of a network of ours.
    """
    model = network_from_json(_member(path, _CONFIG), str(path))
    if with_weights:
        load_weights(model, path)
    return model


def read_data_description(path: pathlib.Path) -> dict:
    """data.json of a file; raises as read_network does."""
    try:
        return json.loads(_member(path, _DATA))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: {_DATA} in it cannot be read as JSON ({error})") from error


def _member(path: pathlib.Path, name: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            check_unpacked_size(path, archive.getinfo(name).file_size)
            return archive.read(name).decode(errors="replace")
    except KeyError:
        raise InputError(f"{path}: holds no {name}; expected a .keras file that nasnet_tf exported") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: damaged, cut short, or not a .keras file: {reason(error)}") from error
