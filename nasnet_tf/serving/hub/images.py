"""Prepares images for a network, and turns its logits into class names."""

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, check_value, expect
from nasnet_tf.data import imagenet_classes
from nasnet_tf.serving.hub.naming import Name, resolve

_ROUNDING = 1e-5  # accepted rounding error of numbers in [0, 1]
_SUM_TOLERANCE = 0.01  # for the sum of probabilities in half precision


def preprocess(images: np.ndarray | tf.Tensor, network: Name = "mobile") -> tf.Tensor:
    """Brings images into a network's range: [-1, 1] for ImageNet networks, whitened for CIFAR ones. Keeps their size.

    It also works inside `Dataset.map` and `tf.function`, where images out of range raise tf.errors.InvalidArgumentError.

    Args:
      images: [..., height, width, 3], RGB: uint8 or uint16 over the whole range of the type; wider or signed integers in 0..255; or
        floating-point numbers in [0, 1].
      network: a name, size or path as for load_nasnet.

    Returns:
      Images, float32 of the same shape.

    Raises:
      InputError: the images have another shape or type, floating-point images are outside [0, 1] or NaN, or integers are outside 0..255.
    """
    try:
        images = tf.convert_to_tensor(images)
    except (TypeError, ValueError) as error:
        raise InputError(f"preprocess: expected images of one size, as numbers, got {type(images).__name__}") from error
    shape, dtype = images.shape, images.dtype
    is_image = shape.rank is None or (shape.rank >= 3 and shape[-1] in (3, None))
    expect(is_image, "preprocess", "images [..., height, width, 3], RGB", shape.as_list() if shape.rank is not None else None)
    sides = tuple(shape[-3:-1]) if shape.rank is not None else (None, None)
    source = resolve(network, image_size=None if None in sides else sides)
    return source.image_preprocessing().normalize(_in_unit_range(images, dtype))


def _in_unit_range(images: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns the images as float32 in [0, 1]."""
    if dtype in (tf.uint8, tf.uint16):
        return tf.cast(images, tf.float32) / float(dtype.max)
    if dtype.is_floating:
        return _checked(tf.cast(images, tf.float32), 1.0, _ROUNDING, "floating-point images in [0, 1] (or integers in 0..255)")
    expect(dtype.is_integer and dtype != tf.int8, "preprocess", "integers in 0..255 or floating-point numbers in [0, 1]", dtype.name)
    return _checked(tf.cast(images, tf.float32), 255.0, 0.0, f"{dtype.name} images in 0..255") / 255.0


def _checked(images: tf.Tensor, most: float, tolerance: float, expected: str) -> tf.Tensor:
    """Returns the images; raises an error if a value is outside 0..most or NaN."""
    is_right = tf.reduce_all((images >= -tolerance) & (images <= most + tolerance))
    if tf.executing_eagerly():
        if not is_right:
            values = images.numpy()
            got = "NaN" if np.isnan(values).any() else f"{values.min():.4g} to {values.max():.4g}"
            raise InputError(f"preprocess: expected {expected}, got {got}")
        return images
    problem = [f"preprocess: expected {expected}, got", tf.reduce_min(images), "to", tf.reduce_max(images)]
    with tf.control_dependencies([tf.debugging.Assert(is_right, problem)]):
        return tf.identity(images)


def decode_predictions(predictions: np.ndarray | tf.Tensor, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Returns the most probable ImageNet classes of each image.

    Args:
      predictions: float [batch, 1000], or [batch, 1001] with slim's background in front: logits, as the networks return them, or
        probabilities. Values that are all in [0, 1] and sum to 1 for each image are taken as probabilities.
      top: number of classes.

    Returns:
      A list of (WordNet id, name, probability in [0, 1]) for each image, most probable first.

    Raises:
      InputError: the predictions have another shape, or values that are not finite.
    """
    check_value("decode_predictions: top", top, Count)
    try:
        values = np.asarray(predictions, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"decode_predictions: expected numbers [batch, 1000] or [batch, 1001], got {type(predictions).__name__}"
        ) from error
    if values.ndim != 2 or values.shape[1] not in (1000, 1001):
        raise InputError(f"decode_predictions: expected [batch, 1000] or [batch, 1001], got {list(values.shape)}")
    expect(bool(np.isfinite(values).all()), "decode_predictions", "finite numbers", "NaN or infinity")
    classes = imagenet_classes() if values.shape[1] == 1000 else [("", "background"), *imagenet_classes()]
    if not _are_probabilities(values):
        values = tf.nn.softmax(values).numpy()
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return [[(*classes[index], float(row[index])) for index in best] for row, best in zip(values, order, strict=True)]


def _are_probabilities(values: np.ndarray) -> bool:
    in_range = (values >= 0).all() and (values <= 1 + _SUM_TOLERANCE).all()
    return bool(in_range and (np.abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())
