"""Computes `view` of a preprocessing without TensorFlow, in the arithmetic of TensorFlow's kernels: float32 throughout."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nasnet_tf.base.values import expect

_HALF = np.float32(0.5)


def check(preprocessing: Any, called: str) -> None:
    """Raises InputError unless `view` supports a preprocessing config; `called` is the name of the config in the message."""
    said = preprocessing if isinstance(preprocessing, Mapping) else {}
    size, fraction = said.get("image_size"), said.get("central_fraction", 1.0)
    is_known = said.get("kind") in ("cifar", "imagenet") and said.get("resize", "tf2") in ("tf1", "tf2")
    is_sized = isinstance(size, int) and size > 0 and isinstance(fraction, (int, float)) and 0 < fraction <= 1
    expect(is_known and is_sized, called, "a 'kind' of cifar or imagenet, a positive image_size and valid other fields", preprocessing)


def view(image: np.ndarray, preprocessing: Mapping) -> np.ndarray:
    """Returns the image that evaluation normalizes.

    Args:
      image: uint8 [height, width, 3].
      preprocessing: the config() of a CifarPreprocessing or an ImageNetPreprocessing, for which `check` has passed.

    Returns:
      float32 [image_size, image_size, 3] in [0, 1].
    """
    size = preprocessing["image_size"]
    if preprocessing["kind"] == "cifar":
        resized = _resize_with_antialiasing(image, size)
    else:
        cropped = _central_crop(image, preprocessing.get("central_fraction", 0.875))
        resized = _resize(cropped, size, has_half_pixel_centers=preprocessing.get("resize", "tf2") == "tf2")
    return resized / np.float32(255)


def _central_crop(image: np.ndarray, fraction: float) -> np.ndarray:
    """Crops as tf.image.central_crop does in a graph, where the fraction is rounded to float32."""
    fraction = float(np.float32(fraction))
    top, left = (int((side - side * fraction) / 2) for side in image.shape[:2])
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def _resize(image: np.ndarray, size: int, has_half_pixel_centers: bool) -> np.ndarray:
    """Resizes as TensorFlow's op ResizeBilinear does, to float32 [size, size, 3]: interpolates between four pixels."""
    (top, bottom, down), (left, right, across) = (_neighbors(side, size, has_half_pixel_centers) for side in image.shape[:2])
    down, across = down[:, None, None], across[None, :, None]

    def between(rows: np.ndarray) -> np.ndarray:
        first, second = (image[rows[:, None], columns].astype(np.float32) for columns in (left, right))
        return first + (second - first) * across

    upper, lower = between(top), between(bottom)
    return upper + (lower - upper) * down


def _neighbors(side: int, size: int, has_half_pixel_centers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each output pixel (input pixel before it, input pixel after it, distance from the first as float32), each [size]."""
    scale, places = np.float32(side) / np.float32(size), np.arange(size, dtype=np.float32)
    places = (places + _HALF) * scale - _HALF if has_half_pixel_centers else places * scale
    floor = np.floor(places)
    return np.maximum(floor, 0).astype(int), np.minimum(np.ceil(places), side - 1).astype(int), places - floor


def _resize_with_antialiasing(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes as TensorFlow's op ScaleAndTranslate does with a triangle kernel, to float32 [size, size, 3]."""
    if image.shape[:2] == (size, size):
        return image.astype(np.float32)
    rows, columns = (_triangles(side, size) for side in image.shape[:2])
    return np.einsum("ch,hwk->cwk", rows, np.einsum("dw,hwk->hdk", columns, image.astype(np.float32), optimize=True), optimize=True)


def _triangles(side: int, size: int) -> np.ndarray:
    """Returns the weights of the input pixels for each output pixel, float32 [size, side]; each row sums to 1."""
    inverse = np.float32(1) / (np.float32(size) / np.float32(side))
    width = np.maximum(inverse, np.float32(1))
    centers = (np.arange(size, dtype=np.float32) + _HALF) * inverse
    distances = np.abs(np.arange(side, dtype=np.float32) + _HALF - centers[:, None]) / width
    weights = np.maximum(np.float32(1) - distances, 0)
    return weights / weights.sum(1, keepdims=True)
