"""Makes batches of images for training, evaluation and search.

The training stream depends only on (seed, step). It can start at any step, and two processes that ask for the same step get the same bits.
(seed, e) determines the permutation of epoch e, and (seed, n) determines the augmentation of example n of the stream, counted over all
epochs.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import shown
from nasnet_tf.data.batches import evaluation_batches, rows_of, training_batches
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.labels import lacking_notes
from nasnet_tf.data.order import Order
from nasnet_tf.data.preprocessing import Preprocessing, preprocessing_from_config
from nasnet_tf.data.sixteen_bits import white_note
from nasnet_tf.data.sources import Read, Source, open_source
from nasnet_tf.data.splits import DividedData

_CHECKED_IMAGES = 8  # number of training images that are checked for 16-bit levels
_printed: set[str] = set()  # summaries of folders that this process has printed


@dataclasses.dataclass(frozen=True)
class ImageData(DividedData):
    """A data set, how it is divided, and how its images are prepared. Data is read only when it is needed.

    Attributes:
      source: the name of the data set, see `open_source`.
      preprocessing: how images are prepared.
      data_dir: folder in which TFDS data sets are prepared; `digits` and folders do not use it.
      train_split: the split for training, such as "train" or "train[:45000]".
      validation_split: the split for validation in a search and for early stopping. None means the split `validation` of a folder. In a
        folder without that split, and in other data sets, None means the last `validation_examples` of `train_split`, which are then not
        used in training.
      validation_examples: number of examples to hold out for validation, or their percentage of `train_split` such as "10%"; 0 for none.
      test_split: the split whose results are reported ("validation" for imagenet2012, whose test labels are secret). In a folder with a
        split `test`, that split is used instead if test_split is also the validation split.
      cache: whether to keep the encoded training images in memory after they are first read. CIFAR takes 0.1 GB, ImageNet 140 GB.
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("data_dir", "cache")  # fields that may differ when work is resumed

    source: str
    preprocessing: Preprocessing
    data_dir: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    validation_examples: int | str = 0
    test_split: str = "test"
    cache: bool = True

    @functools.cached_property
    def _source(self) -> Source:
        return open_source(self.source, self.data_dir)

    @functools.cached_property
    def _summary(self) -> str:
        return "\n".join(filter(None, [super()._summary, self._held_out_note(), self._white_note()]))

    def _held_out_note(self) -> str | None:
        """Returns a note on classes without an image for training or validation, if the images for validation are held out; else None."""
        if not self._is_held_out():
            return None
        counts = {split: self._counts(self._find(split)) for split in ("train", "validation")}
        absent = {split: [name for name, count in zip(self.class_names, counts[split], strict=True) if not count] for split in counts}
        notes = "; ".join(lacking_notes(absent))
        return f"{self.source}: with images held out, {notes}" if notes else None

    def _white_note(self) -> str | None:
        name, start, stop = self._source.bounds(self.train_split)
        try:
            return white_note(self._source.read(name, np.arange(start, min(stop, start + _CHECKED_IMAGES))), self.preprocessing.white_level)
        except InputError:
            return None  # a file cannot be read; reported when it is needed

    def _slice(self, split: str) -> str:
        """Returns the source's split, or the slice of one. Prints the summary of a folder, once per process."""
        if self._source.is_folder and self._summary not in _printed:
            _printed.add(self._summary)
            print(self._summary, file=sys.stderr, flush=True)
        return super()._slice(split)

    @functools.cached_property
    def _read_train(self) -> Read:
        """The function that reads training records: one for all calls of `train`, so that they share the cache."""
        return _InMemory(self._source.read) if self.cache else self._source.read

    def description(self) -> dict:
        """Returns a JSON-ready dict that `from_description` turns back into this data. It also has the class names."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "preprocessing": self.preprocessing.config(), "class_names": list(self.class_names)}

    @classmethod
    def from_description(cls, description: Mapping) -> Self:
        """Returns the data that `description` described. Other keys of the description are ignored."""
        missing = [name for name in ("source", "preprocessing") if name not in description]
        if missing:
            raise InputError(f"data.json: damaged; expected {' and '.join(missing)}, got {', '.join(description) or 'nothing'}")
        return super().from_description({**description, "preprocessing": preprocessing_from_config(description["preprocessing"])})

    def resized(self, image_size: int) -> "ImageData":
        """Returns the same data with prepared images of another side, in pixels."""
        return dataclasses.replace(self, preprocessing=dataclasses.replace(self.preprocessing, image_size=image_size))

    @property
    def image_size(self) -> int:
        """The side of the prepared images in pixels."""
        return self.preprocessing.image_size

    @property
    def _label_shape(self) -> tuple[int, ...]:
        """The shape of an example's label."""
        return ()

    def _label_mistake(self, label: np.ndarray) -> str | None:
        if 0 <= label < self.num_classes:
            return None
        return f"has label {label}; expected 0..{self.num_classes - 1} (the split may be unlabeled)"

    @functools.cached_property
    def label_counts(self) -> np.ndarray:
        """The number of training examples that have each class, int64 [num_classes]; labels outside the classes are not counted."""
        return self._counts(self._slice("train"))

    def _counts(self, split: str) -> np.ndarray:
        """Returns the number of examples of each class in a split of the source or a slice of one, int64 [num_classes]."""
        counts = np.zeros(self.num_classes, np.int64)
        for labels in self._source.labels(split):
            counts += np.bincount(labels[(labels >= 0) & (labels < self.num_classes)], minlength=self.num_classes)
        return counts

    def train(self, batch_size: int, seed: int, start_step: int = 0, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Returns an endless data set of training batches; a batch may have the end of an epoch and the beginning of the next.

        An image that cannot be decoded becomes zeros with label -1 and keeps its place in the batch; see `corrupt_names`.

        Args:
          batch_size: examples in a batch, over all replicas and workers.
          seed: determines the order and the augmentation.
          start_step: number of batches to skip. They are not read.
          shard: (index, count) of a worker. Only its rows of each batch are read and prepared: those from index * batch_size / count up to
            the next worker's.

        Returns:
          Batches of (images float32 [batch_size / count, image_size, image_size, 3], labels int32 [batch_size / count]).
        """
        split = self._bounds("train")[0]

        def load(numbers):
            example = self._source.load(split, numbers, self._read_train)
            return example["image"], example["label"]

        def prepare(encoded, place):
            return self.preprocessing.train(encoded, tf.stack([tf.constant(seed, tf.int64), place]))

        return training_batches(load, prepare, self._order(seed), self.image_size, batch_size, start_step, shard, self._label_shape)

    def _order(self, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        """Returns the function (positions in the training stream) -> example numbers in the split of the source."""
        _, start, stop = self._bounds("train")
        order = Order(stop - start, seed)
        return lambda places: start + order(places)

    def names(self, batch_size: int, seed: int, step: int) -> list[str]:
        """Returns the names of the examples in a whole training batch, in its order, for messages. Reads no other examples."""
        rows_of(batch_size, (0, 1))
        numbers = self._order(seed)(step * batch_size + np.arange(batch_size))
        examples = self._source.load(self._bounds("train")[0], tf.constant(numbers))
        return [shown(name) for name in examples["name"].numpy()]

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> dict[str, str]:
        """Returns {name: reason} of the examples in a whole training batch that have label -1. Prepares the batch once more."""
        _, labels = next(iter(self.train(batch_size, seed, step)))
        numbers = self._order(seed)(step * batch_size + np.arange(batch_size))
        split = self._bounds("train")[0]
        mistakes = (self._mistake(split, number) for number in numbers[are_corrupt(labels).numpy()])
        return {called: what or "no image, or no label" for called, what in mistakes}

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Returns every example of a split exactly once, in batches of one size. An image that cannot be decoded is an error here.

        Args:
          split: "train", "validation" or "test".
          batch_size: examples in a batch, over all replicas and workers.
          shard: (index, count) of a worker, as in `train`. All workers get the same number of batches.

        Returns:
          Batches of (images float32 [batch_size / count, image_size, image_size, 3], labels int32 [batch_size / count], weights float32
          [batch_size / count]). The weight is 1, or 0 for rows that only fill up the last batch, whose images and labels are 0.
        """
        name, start, stop = self._bounds(split)

        def load(numbers):
            example = self._source.load(name, numbers)
            return example["image"], example["label"]

        return evaluation_batches(
            load, self.preprocessing.evaluate, range(start, stop), self.image_size, batch_size, shard, self._label_shape
        )

    def pictures(self, split: str, places: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the name and the whole picture, uint8 [height, width, 3], of examples.

        Args:
          split: "train", "validation" or "test".
          places: positions of the examples in the split, from 0, in the order of `evaluation`.
        """
        name, start, _ = self._bounds(split)
        for place in places:
            (called,), (encoded,) = (self._source.load(name, tf.constant([start + place], tf.int64))[key] for key in ("name", "image"))
            yield shown(called.numpy()), decode_image(encoded, self.preprocessing.white_level).numpy()

    def diagnose(self, split: str) -> InputError | None:
        """Reads every image of "train", "validation" or "test" and returns the error of the first bad one; None if there is none.

        Call it when training or evaluation has failed, because an error inside a pipeline does not name the example.
        """
        where = f"data set {self.source!r}, {split}"
        name, start, stop = self._bounds(split)
        for number in range(start, stop):
            called, mistake = self._mistake(name, number)
            if mistake:
                return InputError(f"{where}: {f'{called} ' if called else ''}{mistake}")
        return None

    def _mistake(self, split: str, number: int) -> tuple[str, str | None]:
        """Returns (name of an example, its mistake or None). If it cannot be read, the name is empty and the mistake names the file."""
        called = ""
        try:
            records = self._source.read(split, np.array([number]))
            (example,) = tf.data.Dataset.from_tensor_slices(
                self._source.parse(split, tf.constant([number], tf.int64), tf.constant(records))
            )
            called = shown(example["name"].numpy())
            if wrong := self._label_mistake(example["label"].numpy()):
                return called, wrong
            self.preprocessing.evaluate(example["image"])
        except InputError as error:
            return called, str(error)
        except tf.errors.OpError as error:
            return called, f"cannot be decoded as an image: {reason(error)}"
        return called, None


def are_corrupt(labels: tf.Tensor) -> tf.Tensor:
    """Returns which examples of a training batch could not be decoded, bool [batch]; labels: int32 [batch] or [batch, classes]."""
    return labels < 0 if labels.shape.rank == 1 else tf.reduce_any(labels < 0, axis=1)


class _InMemory:
    """Reads each record of a split once and keeps it in memory."""

    def __init__(self, read: Read):
        self._read = read
        self._records: dict[int, bytes] = {}

    def __call__(self, split: str, numbers: np.ndarray) -> list[bytes]:
        numbers = numbers.tolist()
        missing = [number for number in numbers if number not in self._records]
        if missing:
            self._records.update(zip(missing, self._read(split, np.array(missing)), strict=True))
        return [self._records[number] for number in numbers]
