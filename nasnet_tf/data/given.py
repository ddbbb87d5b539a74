"""Checks images and labels in memory or in a tf.data pipeline, and converts them to one form: 8-bit levels and labels."""

import dataclasses
import functools
import hashlib
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.sources import Source

_IMAGES_AT_A_TIME = 256
_LEVELS = 255
_MAX_UNIT = 1 + 1e-5  # floats in [0, 1] may exceed it by rounding
_MIN_LEVEL = 32  # floats that exceed 1 but are all below this level are no pictures of 255 levels; they may be in [0, 2] or [0, 16]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A part of the examples.

    Attributes:
      images: uint8 [n, height, width, 1 or 3], or n encoded files.
      labels: n numbers from 0, or n names of classes.
      num_classes: the minimum number of classes according to the labels; 0 if they are names.
    """

    images: np.ndarray | list[bytes]
    labels: Sequence[int] | Sequence[str]
    num_classes: int = 0

    def encoded(self) -> list[bytes]:
        """Returns the images as encoded files, without loss."""
        return self.images if isinstance(self.images, list) else list(tf.io.encode_png(self.images).numpy())

    def digests(self) -> Iterator[bytes]:
        """Yields for each example a digest of its image and its label, 32 bytes."""
        for image, label in zip(self.images, self.labels, strict=True):
            content = image if isinstance(image, bytes) else str(image.shape).encode() + image.tobytes()
            yield hashlib.sha256(f"{label}\n".encode() + content).digest()


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labeled images that can be read more than once.

    Attributes:
      name: their name in messages, such as "data".
      chunks: () -> all examples, in parts.
      class_names: names of the labels 0, 1, ...; None if they are unknown.
    """

    name: str
    chunks: Callable[[], Iterable[Chunk]] = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None = None


def of_arrays(name: str, images: Any, labels: Any) -> Examples:
    """Returns the examples in arrays of images and labels.

    Args:
      name: their name in messages.
      images: [n, height, width, 1 or 3] or [n, height, width]. Integers are levels 0..255. Floats are in [0, 1] if none is above 1, else
        levels in [0, 255], some of them 32 or more; they are rounded to the nearest of 256 levels.
      labels: integers from 0, [n] or [n, 1]; one-hot rows [n, classes]; or names of classes, [n].

    Raises:
      InputError: the images or labels are anything else. Some errors are raised only while the chunks are read.
    """
    images, labels = _array(f"{name}: images", images), _array(f"{name}: labels", labels)
    if images.ndim not in (3, 4):
        raise InputError(f"{name}: expected images [n, height, width, 1 or 3] or [n, height, width], got {list(images.shape)}")
    if labels.ndim == 0 or len(images) != len(labels) or not len(images):
        raise InputError(f"{name}: expected a label for each image, got images {list(images.shape)} and labels {list(labels.shape)}")
    levels = _Levels(name, functools.cache(lambda: float(images.max())))
    _labels(name, labels)  # raises the errors of labels now, not only while the chunks are read

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(images), _IMAGES_AT_A_TIME):
            part = slice(start, start + _IMAGES_AT_A_TIME)
            yield Chunk(levels(images[part]), *_labels(name, labels[part]))

    return Examples(name, chunks)


def of_dataset(name: str, dataset: tf.data.Dataset) -> Examples:
    """Returns the examples of a finite pipeline of (image, label) or {"image": ..., "label": ...}, in batches or not, in any order.

    Args:
      name: their name in messages.
      dataset: images and labels as in `of_arrays`. A pipeline of floats is read once more, to find the largest one. An attribute
        `class_names`, as keras.utils.image_dataset_from_directory sets it, names the classes.

    Raises:
      InputError: the images or labels are anything else. Some errors are raised only while the chunks are read.
    """
    spec = dataset.element_spec
    if isinstance(spec, dict) and {"image", "label"} <= spec.keys():
        dataset = dataset.map(lambda element: (element["image"], element["label"]))
    elif not (isinstance(spec, tuple) and len(spec) == 2):
        raise InputError(f"{name}: expected a pipeline of (image, label), got elements {spec}")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(f"{name}: expected a finite pipeline, got one that repeats without end; leave out `repeat`")

    @functools.cache
    def largest() -> float:
        found = 0.0
        for image, _ in dataset.as_numpy_iterator():
            found = max(found, float(np.max(image, initial=0.0)))
            if found >= _MIN_LEVEL:
                break
        return found

    def chunks() -> Iterator[Chunk]:
        levels = _Levels(name, largest)
        for image, label in dataset.as_numpy_iterator():
            image, label = np.asarray(image), np.asarray(label)
            if not _is_batch(image, label):
                image, label = image[None], label[None]
            if len(image):
                yield Chunk(levels(image), *_labels(name, label))

    names = getattr(dataset, "class_names", None)
    return Examples(name, chunks, tuple(map(str, names)) if names else None)


def of_source(source: Source, split: str) -> Examples:
    """Returns the examples of a split of a data set, or of a slice of one, as encoded files."""

    def chunks() -> Iterator[Chunk]:
        for batch in source.examples(split).batch(_IMAGES_AT_A_TIME).as_numpy_iterator():
            yield Chunk(list(batch["image"]), [source.class_names[label] for label in batch["label"]])

    return Examples(f"{source.name}, {split}", chunks, source.class_names)


def _array(what: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # for example, a list of images of different sizes
        raise InputError(
            f"{what}: expected an array, got {type(values).__name__} ({error}); put images of different sizes into a folder"
        ) from error


def _is_float(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" or values.dtype.name == "bfloat16"


class _Levels:
    """Converts images, [n, height, width, 1 or 3] or [n, height, width], to levels, uint8 [n, height, width, 1 or 3].

    Args:
      name: name of the images in messages.
      largest: returns the largest value of all images, or one of at least 32; called if they are floats.
    """

    def __init__(self, name: str, largest: Callable[[], float]):
        self._name, self._largest = name, largest

    def __call__(self, images: np.ndarray) -> np.ndarray:
        images = images[..., None] if images.ndim == 3 else images
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise InputError(f"{self._name}: expected images [height, width, 1 or 3], got {list(images.shape[1:])}")
        if not (_is_float(images) or images.dtype.kind in "iu"):
            raise InputError(f"{self._name}: expected images of integers or floats, got {images.dtype}")
        images = images.astype(np.float32) if _is_float(images) else images
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= _LEVELS):  # also true for NaN
            raise InputError(f"{self._name}: expected images in [0, 255], or floats in [0, 1]; got values from {low:g} to {high:g}")
        if images.dtype.kind != "f":
            return images.astype(np.uint8)
        largest = max(self._largest(), float(high))  # a pipeline may give other images each time
        if _MAX_UNIT < largest < _MIN_LEVEL:
            raise InputError(f"{self._name}: expected floats in [0, 1] or [0, 255], got values up to {largest:g}; scale or clip the images")
        return np.rint(np.minimum(images, 1) * _LEVELS if largest <= _MAX_UNIT else images).astype(np.uint8)


def _is_batch(image: np.ndarray, label: np.ndarray) -> bool:
    """Returns whether an element of a pipeline holds several examples."""
    if image.ndim != 3 or label.ndim == 0:
        return image.ndim >= 4
    return image.shape[-1] not in (1, 3)  # a batch of gray images, not one image with a one-hot label


def _labels(name: str, labels: np.ndarray) -> tuple[list[int] | list[str], int]:
    """Returns labels [n] and the minimum number of classes according to them; raises InputError for invalid labels."""
    num_classes = 0
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and labels.dtype.kind in "biuf":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise InputError(
                f"{name}: expected one-hot labels, with one 1 in each row, got {labels[0].tolist()}; for several labels, use a table"
            )
        num_classes, labels = labels.shape[1], labels.argmax(axis=1)
    if labels.ndim != 1:
        raise InputError(f"{name}: expected labels [n], [n, 1] or one-hot [n, classes], got {list(labels.shape)}")
    if labels.dtype.kind == "O" and all(isinstance(label, numbers.Integral) for label in labels):
        labels = labels.astype(np.int64)  # as in a column of a table that pandas read as objects
    if labels.dtype.kind in "USOT":
        texts = [label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else label for label in labels.tolist()]
        if wrong := [label for label in texts if not (isinstance(label, str) and label)]:
            raise InputError(f"{name}: expected labels that are integers or names of classes, got {wrong[0]!r}")
        return texts, 0
    if labels.dtype.kind not in "biuf" or not (np.isfinite(labels) & (labels == np.floor(labels)) & (labels >= 0)).all():
        values = labels.tolist()
        wrong = next(
            (each for each in values if not isinstance(each, (int, float)) or not (0 <= each < np.inf and each % 1 == 0)), values[0]
        )
        raise InputError(f"{name}: expected labels that are integers from 0 or names of classes, got {wrong!r}")
    found = labels.astype(np.int64).tolist()
    return found, max(num_classes, 1 + max(found))
