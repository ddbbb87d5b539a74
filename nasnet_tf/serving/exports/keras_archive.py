"""A network of ours as one .keras file with data.json in it, which both Keras and load_nasnet open."""

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
from nasnet_tf.training.work_folder import has_several_labels

_CONFIG, _DATA = "config.json", "data.json"


def write(given: ExportInput, path: pathlib.Path) -> None:
    """Writes the network, as Keras saves it, and data.json into one file."""
    given.model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(_DATA, json.dumps(given.data_description))


def open_probabilities(path: pathlib.Path, given: ExportInput) -> Callable[[np.ndarray], np.ndarray]:
    """Opens a file with Keras; returns a function from images in [0, 1] to probabilities."""
    model = keras.saving.load_model(path, compile=False)

    @tf.function(autograph=False)
    def run(images):
        return probabilities(model(given.preprocessing.normalize(images), training=False), has_several_labels(given.data_description))

    return lambda images: run(tf.constant(images)).numpy()


def is_ours(path: pathlib.Path) -> bool:
    """Returns whether a file holds a network of ours instead of one of keras.applications.

    Raises:
      InputError: the file is missing or damaged.
    """
    return '"nasnet_tf>Cell"' in (_member(path, _CONFIG) or "")


def read_network(path: pathlib.Path, with_weights: bool = True) -> keras.Model:
    """Returns the network of a file. A file that names classes which our networks do not use is refused.

    Raises:
      InputError: the file is missing or damaged, or holds no network of ours.
    """
    model = network_from_json(_member(path, _CONFIG) or "", str(path))
    if with_weights:
        load_weights(model, path)
    return model


def read_data_description(path: pathlib.Path) -> dict | None:
    """Returns data.json of a file, or None for a file without it, such as Keras writes.

    Raises:
      InputError: the file is missing or damaged.
    """
    text = _member(path, _DATA, is_required=False)
    try:
        return None if text is None else json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: its {_DATA} cannot be read as JSON ({error})") from error


def _member(path: pathlib.Path, name: str, is_required: bool = True) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if not is_required and name not in archive.namelist():
                return None
            check_unpacked_size(path, archive.getinfo(name).file_size)
            return archive.read(name).decode(errors="replace")
    except KeyError:
        raise InputError(f"{path}: holds no {name}; expected a .keras file of a nasnet_tf network") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: damaged, cut short, or not a .keras file: {reason(error)}") from error
