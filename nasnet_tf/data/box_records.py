"""Reads detection sets of TensorFlow Datasets (TFDS), such as coco/2017 and voc/2007: pictures and boxes in records."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.objects import Notes, Picture, Pictures, make_picture
from nasnet_tf.data.orientation import displayed_shape, exif_orientation
from nasnet_tf.data.preparing import prepared_builder
from nasnet_tf.data.sources import record_reader

tfds = OnDemand("tensorflow_datasets")

# COCO's own ids of its 80 classes are 1..90 without these (cocodataset.org). TFDS keeps the order of the classes, but not their ids.
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_CROWDS = ("is_crowd", "is_difficult")  # names of the crowd flag in COCO and in Pascal VOC
_NAMES = ("image/filename", "id")


def open_records(name: str, data_dir: str | None) -> Pictures:
    """Opens a detection set by its TFDS name, which may include a config and a version.

    TFDS stores the boxes in the record of the picture, as fractions of the picture's sides. Each record that is used is read once for its
    boxes and again for its picture; pictures are not kept in memory. Ids of pictures are the set's own, or count from 1.

    Raises:
      InputError: as in nasnet_tf.data.sources.open_source, or the set does not consist of images and boxes with classes.
    """
    builder = prepared_builder(name, data_dir)
    features = dict(builder.info.features.items())
    images = sorted(key for key, feature in features.items() if type(feature) is tfds.features.Image)
    objects = {key: fields for key, fields in ((key, _box_fields(feature)) for key, feature in sorted(features.items())) if fields}
    image_key = "image" if "image" in images else next(iter(images), None)
    if image_key is None or len(objects) != 1:
        raise InputError(
            f"data set {name!r} is not a detection set: expected an image and one sequence with 'bbox' and 'label'; "
            f"its images are {images}, its sequences with these fields {list(objects)}, and all its features {list(features)}"
        )
    (key, fields), read = objects.popitem(), record_reader(name, builder)
    class_names = tuple(fields["label"].names)
    ids = tuple(range(1, len(class_names) + 1))
    if builder.name == "coco" and len(class_names) == 80:
        ids = tuple(number for number in range(1, 91) if number not in _COCO_GAPS)
    notes = {split: Notes() for split in builder.info.splits}
    splits = {
        split: _Records(split, info.num_examples, functools.partial(_picture, read, split, image_key, key, notes[split]))
        for split, info in builder.info.splits.items()
    }
    return Pictures(name, class_names, ids, splits, notes)


class _Records(Sequence):
    """The pictures of a split. Each is made when it is first used."""

    def __init__(self, split: str, count: int, make):
        self._split, self._count, self._make = split, count, functools.cache(make)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self._make(number) for number in range(*place.indices(self._count))]
        return self._make(range(self._count)[place])


def _box_fields(feature) -> dict | None:
    """Returns the features of a sequence of boxes with classes; None if `feature` is anything else."""
    inner = getattr(feature, "feature", None)
    fields = dict(inner.items()) if isinstance(inner, tfds.features.FeaturesDict) else {}
    is_right = isinstance(fields.get("bbox"), tfds.features.BBoxFeature) and isinstance(fields.get("label"), tfds.features.ClassLabel)
    return fields if is_right else None


def _picture(read, split: str, image_key: str, key: str, notes: Notes, number: int) -> Picture:
    def values(example, name, kind):
        return list(getattr(example[name], f"{kind}_list").value) if name in example else []

    def record():
        return values(_parse(read(split, np.array([number]))[0]), image_key, "bytes")[0]

    example = _parse(read(split, np.array([number]))[0])
    labels = values(example, f"{key}/label", "int64")
    boxes = np.array(values(example, f"{key}/bbox", "float"), np.float64).reshape(-1, 4)
    size = _size(values(example, image_key, "bytes")[0])
    crowds = next((found for found in (values(example, f"{key}/{name}", "int64") for name in _CROWDS) if found), [0] * len(labels))
    called = next((found[0].decode() for found in (values(example, name, "bytes") for name in _NAMES) if found), None)
    image_id = next(iter(values(example, "image/id", "int64")), number + 1)
    if size is not None:
        boxes *= np.tile(size, 2)
    area = values(example, f"{key}/area", "int64") or np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).tolist()
    rows = list(zip(boxes, labels, map(bool, crowds), area, strict=True))
    return make_picture(pathlib.Path(called or f"{split} example {number}"), image_id, rows, size, notes, record)


def _parse(record: bytes):
    return tf.train.Example.FromString(record).features.feature


def _size(encoded: bytes) -> tuple[int, int] | None:
    """Returns (height, width) of the upright picture; None if it cannot be decoded, which is reported when it is used in training."""
    try:
        is_jpeg = bool(tf.io.is_jpeg(encoded))
        shape = (
            displayed_shape(tf.io.extract_jpeg_shape(encoded), exif_orientation(encoded)) if is_jpeg else tf.shape(decode_image(encoded))
        )
    except tf.errors.OpError:
        return None
    return tuple(shape.numpy()[:2].tolist())
