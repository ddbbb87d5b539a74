"""What belongs to using a network: images into its range, its logits into names."""

import os
import pathlib

import tensorflow as tf

from nasnet_tf.data import Preprocessing, imagenet_classes, preprocessing_from_config
from nasnet_tf.errors import InputError
from nasnet_tf.models.zoo import canonical_name, find_variant
from nasnet_tf.training import checkpoints

_CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def network_preprocessing(name_or_path: str | os.PathLike) -> tuple[Preprocessing, list[str]]:
    """How images are prepared for a network of the zoo or a path, and the names of its classes."""
    name = os.fspath(name_or_path)
    if canonical_name(name):
        variant = find_variant(name)
        preprocessing = preprocessing_from_config({"kind": variant.preprocessing, "image_size": variant.image_size})
        names = [label for _, label in imagenet_classes()] if variant.num_classes == 1000 else _CIFAR10_CLASSES
        return preprocessing, names
    _, description = checkpoints.read_description(pathlib.Path(name).expanduser())
    return preprocessing_from_config(description["preprocessing"]), description["class_names"]


_CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def preprocess(images, network: str | os.PathLike = "mobile") -> tf.Tensor:
    """Brings images into the range that a network takes: [-1, 1] for ImageNet networks, whitened for CIFAR ones. Sizes stay.

    Args:
      images: [..., height, width, 3], RGB: integers in 0..255, or floating-point numbers in [0, 1].
      network: a name or path as for load_nasnet.

    Returns:
      float32 of the same shape.

    Raises:
      InputError: floating-point images beyond [0, 1], as 0..255 would be.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype.is_integer:
        images = tf.cast(images, tf.float32) / 255.0
    elif tf.executing_eagerly() and images.shape.num_elements():
        least, most = float(tf.reduce_min(images)), float(tf.reduce_max(images))
        if least < 0 or most > 1:
            raise InputError(f"preprocess: expected floating-point images in [0, 1] (or integers in 0..255), got {least:.4g} to {most:.4g}")
    return network_preprocessing(network)[0].normalize(images)


def decode_predictions(logits, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The most probable ImageNet classes of each image.

    Args:
      logits: float [batch, 1000], or [batch, 1001] with slim's background in front, as the networks return them.
      top: how many classes.

    Returns:
      For each image (WordNet id, name, probability in [0, 1]), most probable first.
    """
    logits = tf.convert_to_tensor(logits)
    if logits.shape.rank != 2 or logits.shape[1] not in (1000, 1001):
        raise InputError(f"decode_predictions: expected logits [batch, 1000] or [batch, 1001], got {list(logits.shape)}")
    classes = imagenet_classes() if logits.shape[1] == 1000 else [("", "background"), *imagenet_classes()]
    best = tf.math.top_k(tf.nn.softmax(tf.cast(logits, tf.float32)), k=min(top, len(classes)))
    return [
        [(*classes[index], float(probability)) for index, probability in zip(indices, probabilities, strict=True)]
        for indices, probabilities in zip(best.indices.numpy(), best.values.numpy(), strict=True)
    ]
