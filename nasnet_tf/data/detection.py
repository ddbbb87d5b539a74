"""Makes batches of pictures with boxes, to train and evaluate detectors.

The training stream depends only on (seed, step), like that of ImageData. (seed, e) determines the permutation of epoch e, and (seed, n)
determines whether picture n of the stream is mirrored, and how its boxes are sampled.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import shown, user_path
from nasnet_tf.base.values import Count, at_least, expect
from nasnet_tf.data import box_records, coco, voc
from nasnet_tf.data.batches import WORKERS, as_written, finish, rows_of
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.objects import Picture, Pictures, training_objects
from nasnet_tf.data.order import Order
from nasnet_tf.data.preparing import prepared_folder
from nasnet_tf.data.sources import Source
from nasnet_tf.data.split_names import with_our_names
from nasnet_tf.data.splits import DividedData


class DetectionBatch(NamedTuple):
    """A batch of training pictures with boxes.

    Attributes:
      images: float32 [batch, image_size, image_size, 3], in [-1, 1].
      boxes: float32 [batch, max_boxes, 4], (ymin, xmin, ymax, xmax) in pixels of the image; zeros after the last box.
      labels: int32 [batch, max_boxes]: class from 0, or -2 for a crowd; -1 after the last box.
      weights: float32 [batch]: 1, or 0 for a picture that could not be decoded, whose image is zeros.
      seeds: int64 [batch, 2]: seeds for the random choices that a training step makes for each picture.
    """

    images: tf.Tensor
    boxes: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor
    seeds: tf.Tensor


@dataclasses.dataclass(frozen=True)
class DetectionData(DividedData):
    """Pictures with boxes, how they are divided, and how they are prepared. Data is read only when it is needed.

    Attributes:
      source: `coco:FOLDER`, `voc:FOLDER` or `tfds:NAME`, such as tfds:coco/2017; see nasnet_tf.data.coco, voc and box_records. In a COCO or
        VOC folder without a split `trainval`, splits have the roles that they have in a folder of images, and other spellings, such as
        `val` and `Train`, are accepted.
      image_size: side in pixels to which all pictures are resized, without keeping their aspect ratio, as faster_rcnn_nas of the TF
        Object Detection API does.
      train_split, validation_split, validation_examples, test_split: as in ImageData.
      flip: whether to mirror half of the pictures in training.
      max_boxes: maximum number of boxes per picture in training, 100 in faster_rcnn_nas. Further boxes are left out, and such pictures are
        counted in the notes.
      data_dir: folder of TFDS data sets, as in ImageData.
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("data_dir",)  # fields that may differ when work is resumed

    source: str
    image_size: at_least(32)
    train_split: str = "train"
    validation_split: str | None = None
    validation_examples: int | str = 0
    test_split: str = "test"
    flip: bool = True
    max_boxes: Count = 100
    data_dir: str | None = None

    def description(self) -> dict:
        """Returns a JSON-ready dict that `from_description` turns back into this data. It also has the names and ids of the classes."""
        return {**dataclasses.asdict(self), "class_names": list(self.class_names), "category_ids": list(self.category_ids)}

    @functools.cached_property
    def _pictures(self) -> Pictures:
        kind, _, place = str(self.source).partition(":")
        openers = {
            "coco": lambda: coco.open_coco(self.source, user_path(place)),
            "voc": lambda: voc.open_voc(self.source, user_path(place)),
            "tfds": lambda: box_records.open_records(place, prepared_folder(self.data_dir)),
        }
        expect(kind in openers and place != "", "DetectionData.source", "coco:FOLDER, voc:FOLDER or tfds:NAME", self.source)
        pictures = openers[kind]()
        if kind == "tfds" or "trainval" in pictures.splits:
            return pictures
        return dataclasses.replace(pictures, splits=with_our_names(pictures.splits), notes=with_our_names(pictures.notes))

    @functools.cached_property
    def _source(self) -> Source:
        sizes = {name: len(rows) for name, rows in self._pictures.splits.items()}
        # Splits have the same roles as in a folder of images, but not if Pascal VOC's trainval contains val, and not in TFDS.
        is_folder = not self.source.startswith("tfds:") and "trainval" not in sizes
        return Source(self.source, self._pictures.class_names, sizes, read=None, parse=None, is_folder=is_folder)

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The id of each label in the annotations."""
        return self._pictures.category_ids

    def notes(self, split: str) -> list[str]:
        """Returns a line for each kind of oddity in the annotations of "train", "validation" or "test", with the rule that handled it.

        Raises:
          InputError: no picture of "train" has a box.
        """
        name = self._bounds(split)[0]
        crowded = [picture.name for picture in self.objects(split) if len(picture.labels) > self.max_boxes]
        lines = [f"{name}: {line}" for line in self._pictures.notes[name].lines()]
        if crowded and split == "train":
            lines.append(
                f"{name}: {len(crowded)} x pictures with more than {self.max_boxes} boxes: only the first ones are used in training: "
                f"{', '.join(crowded[:3])}"
            )
        if split == "train":
            found = set().union(*(picture.labels.tolist() for picture in self.objects(split)))
            if not found:
                raise InputError(f"data set {self.source!r}: no picture of {name!r} has a box to train on; {'; '.join(lines)}")
            missing = [called for label, called in enumerate(self.class_names) if label not in found]
            if missing:
                lines.append(f"{name}: {len(missing)} x categories without boxes, which are not learned: {', '.join(missing[:10])}")
        return lines

    def objects(self, split: str) -> list[Picture]:
        """Returns the pictures of "train", "validation" or "test" with all their annotated objects."""
        name, start, stop = self._bounds(split)
        return list(self._pictures.splits[name][start:stop])

    def train(self, batch_size: int, seed: int, start_step: int = 0, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Returns an endless data set of DetectionBatch; arguments as in ImageData.train. Rows of other workers are not read or decoded."""
        pictures = self.objects("train")
        size, first = rows_of(batch_size, shard)
        order = Order(len(pictures), seed)

        def boxes_of(number, height, width):
            boxes, labels = training_objects(pictures[number], height, width)
            padding = max(0, self.max_boxes - len(labels))
            boxes = np.pad(boxes[: self.max_boxes], [[0, padding], [0, 0]])
            return boxes, np.pad(labels[: self.max_boxes], [0, padding], constant_values=-1)

        @as_written
        def prepare(place):
            number = tf.ensure_shape(tf.numpy_function(order, [place[None]], tf.int64), [1])[0]
            image, is_image = _decoded(_content(pictures, number))
            height, width = tf.unstack(tf.shape(image)[:2])
            boxes, labels = tf.numpy_function(boxes_of, [number, height, width], [tf.float32, tf.int32])
            boxes, labels = tf.ensure_shape(boxes, [self.max_boxes, 4]), tf.ensure_shape(labels, [self.max_boxes])
            labels = tf.where(is_image, labels, -1)
            seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), place]), 2)
            image = tf.where(is_image, prepare_picture(image, self.image_size), 0.0)
            if self.flip:
                is_flipped = tf.random.stateless_uniform([], seeds[0]) < 0.5
                image = tf.where(is_flipped, image[:, ::-1], image)
                top, left, bottom, right = tf.unstack(boxes, axis=1)
                mirrored = tf.stack([top, 1.0 - right, bottom, 1.0 - left], axis=1)
                boxes = tf.where(is_flipped & (labels != -1)[:, None], mirrored, boxes)
            return DetectionBatch(image, boxes * self.image_size, labels, tf.cast(is_image, tf.float32), seeds[1])

        places = tf.data.Dataset.counter(start_step).flat_map(
            as_written(lambda step: tf.data.Dataset.range(step * batch_size + first, step * batch_size + first + size))
        )
        batches = places.map(prepare, num_parallel_calls=WORKERS, deterministic=True).batch(size, drop_remainder=True)
        return finish(batches)

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Returns every picture of a split exactly once, in batches of one size; arguments as in ImageData.evaluation.

        Returns:
          Batches of (images float32 [batch_size / count, image_size, image_size, 3] in [-1, 1]; rows int32 [batch_size / count],
          positions of the pictures in the split from 0, -1 for rows that only fill up the last batch; sizes float32
          [batch_size / count, 2], height and width of each picture in pixels).
        """
        pictures = self.objects(split)
        size, first = rows_of(batch_size, shard)
        num_batches = -(-len(pictures) // batch_size)
        mine = [
            row if row < len(pictures) else -1
            for batch in range(num_batches)
            for row in range(batch * batch_size + first, batch * batch_size + first + size)
        ]

        @as_written
        def prepare(row):
            image = decode_image(_content(pictures, tf.maximum(row, 0)))
            return prepare_picture(image, self.image_size), row, tf.cast(tf.shape(image)[:2], tf.float32)

        rows = tf.data.Dataset.from_tensor_slices(np.array(mine, np.int32))
        return finish(rows.map(prepare, num_parallel_calls=WORKERS, deterministic=True).batch(size, drop_remainder=True))

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> dict[str, str]:
        """Returns {name: reason} of the pictures in a whole training batch that cannot be decoded."""
        pictures = self.objects("train")
        numbers = Order(len(pictures), seed)(np.arange(step * batch_size, (step + 1) * batch_size))
        mistakes = {shown(pictures[number].path): _mistake(pictures[number]) for number in numbers}
        return {name: f"cannot be decoded as an image: {mistake}" for name, mistake in mistakes.items() if mistake}

    def diagnose(self, split: str) -> InputError | None:
        """Returns the error of the first picture of a split that cannot be decoded; None if there is no such picture."""
        for picture in self.objects(split):
            mistake = _mistake(picture)
            if mistake:
                return InputError(f"data set {self.source!r}, {split}: {shown(picture.path)} cannot be decoded as an image: {mistake}")
        return None


def prepare_picture(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """Prepares a picture, uint8 or float [height, width, 3] in [0, 255], for a detector: float32 [image_size, image_size, 3] in [-1, 1]."""
    image = tf.image.resize(tf.cast(image, tf.float32), [image_size, image_size])
    return tf.ensure_shape(image, [image_size, image_size, 3]) * (2 / 255) - 1.0


def _content(pictures: list[Picture], number: tf.Tensor) -> tf.Tensor:
    """Returns the encoded image of a picture, string []."""
    return tf.ensure_shape(tf.numpy_function(lambda number: np.array(pictures[number].read(), object), [number], tf.string), [])


def _decoded(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (image uint8 [height, width, 3], True), or (one pixel, False) if the image cannot be decoded; the second is bool []."""

    def decode(content):
        try:
            return decode_image(content).numpy(), True
        except tf.errors.InvalidArgumentError:
            return np.zeros([1, 1, 3], np.uint8), False

    image, is_image = tf.py_function(decode, [encoded], [tf.uint8, tf.bool])
    image.set_shape([None, None, 3])
    is_image.set_shape([])
    return image, is_image


def _mistake(picture: Picture) -> str | None:
    try:
        decode_image(picture.read())
    except (tf.errors.OpError, InputError) as error:
        return reason(error)
    return None
