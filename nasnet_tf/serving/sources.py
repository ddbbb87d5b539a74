"""Networks for the doors, by whatever a person calls them."""

import dataclasses

import keras

from nasnet_tf.data import ImageNetPreprocessing
from nasnet_tf.errors import InputError
from nasnet_tf.files import user_path
from nasnet_tf.serving import keras_archive
from nasnet_tf.serving.hub import load_nasnet
from nasnet_tf.serving.images import network_preprocessing
from nasnet_tf.training import checkpoints


def load_named(name_or_path: str, weights: str = "trained", resize: str | None = None) -> tuple[keras.Model, dict]:
    """A network with what data.json says of it, or would say.

    Args:
      name_or_path: as for load_nasnet.
      weights: as for load_nasnet; "none" for fresh ones.
      resize: of a named ImageNet network, see ImageNetPreprocessing; None for its default.

    Raises:
      InputError: `resize` of what has its own preprocessing, or another one than ImageNet's.
    """
    model = load_nasnet(name_or_path, None if weights == "none" else weights)
    path = user_path(name_or_path)
    if resize is not None and (path.is_dir() or path.is_file()):
        raise InputError(f"--resize: goes with the name of a network; {path} says itself how its images are prepared")
    if path.is_dir():
        return model, checkpoints.read_data_description(path)
    if path.is_file():
        return model, keras_archive.read_data_description(path)
    preprocessing, class_names = network_preprocessing(name_or_path)
    if resize is not None:
        if not isinstance(preprocessing, ImageNetPreprocessing):
            raise InputError(f"--resize: is of ImageNet's preprocessing; {name_or_path} has another")
        preprocessing = dataclasses.replace(preprocessing, resize=resize)
    return model, {"task": "classification", "class_names": class_names, "preprocessing": preprocessing.config()}
