"""Networks for the doors, by whatever a person calls them."""

import keras

from nasnet_tf.files import user_path
from nasnet_tf.serving import keras_archive
from nasnet_tf.serving.hub import load_nasnet
from nasnet_tf.serving.images import network_preprocessing
from nasnet_tf.training import checkpoints


def load_named(name_or_path: str, weights: str = "trained") -> tuple[keras.Model, dict]:
    """A network with what data.json says of it, or would say.

    Args:
      name_or_path: as for load_nasnet.
      weights: as for load_nasnet; "none" for fresh ones.
    """
    model = load_nasnet(name_or_path, None if weights == "none" else weights)
    path = user_path(name_or_path)
    if path.is_dir():
        return model, checkpoints.read_data_description(path)
    if path.is_file():
        return model, keras_archive.read_data_description(path)
    preprocessing, class_names = network_preprocessing(name_or_path)
    return model, {"task": "classification", "class_names": class_names, "preprocessing": preprocessing.config()}
