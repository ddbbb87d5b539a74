"""load_nasnet: a network by name or path, as a Keras model."""

import pathlib

import keras

from nasnet_tf.errors import InputError
from nasnet_tf.models.network import build_network, inference_model
from nasnet_tf.models.zoo import ZOO, find_variant
from nasnet_tf.serving import saved_model
from nasnet_tf.training import checkpoints
from nasnet_tf.training.variables import load_named_weights


def load_nasnet(name_or_path: str, weights: str | None = "trained") -> keras.Model:
    """Loads a network.

    Args:
      name_or_path: "mobile" (224 pixels, 1000 classes), "large" (331, 1000), "cifar" (32, 10); or the path of an export or of the work
        folder of a training, of which the best weights are taken, averaged if the training kept averages.
      weights: "trained", or None for fresh ones.

    Returns:
      A model from images float32 [batch, height, width, 3] to logits float32 [batch, num_classes]. Images are in [-1, 1] for "mobile"
      and "large", whitened (tf.image.per_image_standardization) for "cifar"; for a path as its data.json says.

    Raises:
      InputError: neither a name nor such a folder, or trained weights of a named network, which do not come with this version.
    """
    if weights not in ("trained", None):
        raise InputError(f"load_nasnet: weights: expected 'trained' or None, got {weights!r}")
    if name_or_path in ZOO:
        if weights is not None:
            raise InputError(
                f"load_nasnet({name_or_path!r}): this version brings no trained weights for it; pass weights=None for fresh ones, "
                "or give the path of an export or of a training's work folder"
            )
        variant = find_variant(name_or_path)
        return build_network(variant.genotype, variant.config, variant.num_classes, variant.image_size)
    folder = pathlib.Path(name_or_path)
    if not folder.is_dir():
        raise InputError(f"load_nasnet({name_or_path!r}): no such folder, and not one of the names {', '.join(ZOO)}")
    model, _ = checkpoints.read_description(folder)
    if weights is not None:
        if saved_model.is_export(folder):
            load_named_weights(saved_model.weights_checkpoint(folder), model)
        else:
            checkpoints.load_trained(folder, model)
    return inference_model(model)
