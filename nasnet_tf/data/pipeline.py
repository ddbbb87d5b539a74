"""Batches of images for training, evaluation and search.

The training stream is a function of (seed, step) alone: it can be entered at any step, and two processes that ask for the same step get
the same bits. Epoch e is shuffled by (seed, e); example n of the stream, counted over all epochs, is augmented by (seed, n).
"""

import dataclasses
import functools
import os
import re
from collections.abc import Mapping

import tensorflow as tf

from nasnet_tf.data.preprocessing import Preprocessing, preprocessing_from_config
from nasnet_tf.data.sources import Source, open_source
from nasnet_tf.errors import InputError

# AutoGraph would rewrite the functions given to tf.data; they need none of it, and it took 9/10 of the time to the first batch.
_as_written = tf.autograph.experimental.do_not_convert


_WORKERS = max(2, os.cpu_count() or 1)  # images prepared at a time
_PREFETCHED_BATCHES = 4


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set, how it is divided, and how its images are prepared. Nothing is read before it is asked for.

    Attributes:
      source: the name of the data set, see `open_source`.
      preprocessing: what images go through.
      data_dir: where TFDS data sets are prepared; `digits` and folders do not use it.
      train_split: what is trained on, e.g. "train" or "train[:45000]".
      validation_split: what the search and early stopping look at. None: the last `validation_examples` of `train_split`, which are then
        not trained on.
      validation_examples: size of that hold-out; 0 for none.
      test_split: what is reported ("validation" for imagenet2012, whose test labels are secret).
      shuffle_buffer: how many encoded images are shuffled at a time; all of a smaller data set.
      cache: keep the encoded training images in memory after their first reading. CIFAR takes 0.1 GB, ImageNet 140 GB.
    """

    source: str
    preprocessing: Preprocessing
    data_dir: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    validation_examples: int = 0
    test_split: str = "test"
    shuffle_buffer: int = 50_000
    cache: bool = True

    def __post_init__(self):
        _check_integer("ImageData.validation_examples", self.validation_examples, least=0)
        _check_integer("ImageData.shuffle_buffer", self.shuffle_buffer, least=1)
        if self.validation_split is not None and self.validation_examples:
            raise InputError(
                f"ImageData: expected validation_split or validation_examples, not both; "
                f"got {self.validation_split!r} and {self.validation_examples}"
            )

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # without what was opened

    @functools.cached_property
    def _source(self) -> Source:
        return open_source(self.source, self.data_dir)

    @functools.cached_property
    def _train_examples(self) -> tf.data.Dataset:
        """(encoded image, label); one object for all calls of `train`, for the calls to share what is in memory."""
        examples = self._source.examples(self._slice("train")).map(_as_written(lambda example: (example["image"], example["label"])))
        return examples.cache() if self.cache else examples

    def description(self) -> dict:
        """A JSON-ready dict that `from_description` turns back into this, with the class names besides."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "preprocessing": self.preprocessing.config(), "class_names": list(self.class_names)}

    @classmethod
    def from_description(cls, description: Mapping) -> "ImageData":
        """What `description` described."""
        fields = {name: value for name, value in description.items() if name != "class_names"}
        return cls(**fields | {"preprocessing": preprocessing_from_config(description["preprocessing"])})

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""
        return self._source.class_names

    @property
    def num_classes(self) -> int:
        """Labels are 0..num_classes - 1."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Side of the prepared images in pixels."""
        return self.preprocessing.image_size

    @property
    def num_train_examples(self) -> int:
        """Number of examples of an epoch, without the hold-out."""
        return self.num_examples("train")

    def num_examples(self, split: str) -> int:
        """Number of examples of "train", "validation" or "test"."""
        return self._source.num_examples(self._slice(split))

    def train(self, batch_size: int, seed: int, start_step: int = 0, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Training batches without end; one may hold the end of an epoch and the beginning of the next.

        Args:
          batch_size: examples of a batch, over all replicas.
          seed: other seeds give another order and other augmentation.
          start_step: how many batches to leave out. They are not decoded, only passed over.

        Returns:
          (images float32 [batch_size, image_size, image_size, 3], labels int32 [batch_size]), without end.
        """
        _check_integer("batch_size", batch_size, least=1)
        _check_integer("start_step", start_step, least=0)
        examples = self._train_examples
        start = start_step * batch_size
        first_epoch, passed = divmod(start, self.num_train_examples)

        @_as_written
        def epoch(number):
            return _shuffle(examples, self.shuffle_buffer, _mix(seed, number))

        @_as_written
        def prepare(number, example):
            encoded, label = example
            return self.preprocessing.train(encoded, tf.stack([tf.constant(seed, tf.int64), number])), tf.cast(label, tf.int32)

        stream = tf.data.Dataset.counter(first_epoch).flat_map(epoch).skip(passed).enumerate(start)
        index, count = shard
        part = batch_size // count
        if count > 1:
            cut = _as_written(lambda *batch: tf.nest.map_structure(lambda rows: rows[index * part : (index + 1) * part], batch))
            stream = stream.batch(batch_size, drop_remainder=True).map(cut).unbatch()
        stream = stream.map(prepare, num_parallel_calls=_WORKERS, deterministic=True)
        return _finish(stream.batch(part, drop_remainder=True))

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Every example of a split exactly once, in batches of one size.

        Args:
          split: "train", "validation" or "test".
          batch_size: examples of a batch, over all replicas.

        Returns:
          (images float32 [batch_size, image_size, image_size, 3], labels int32 [batch_size], weights float32 [batch_size]): weight 1, and 0
          for the examples that fill up the last batch, whose images and labels are 0.
        """
        _check_integer("batch_size", batch_size, least=1)

        @_as_written
        def prepare(example):
            return self.preprocessing.evaluate(example["image"]), tf.cast(example["label"], tf.int32), tf.constant(1.0)

        @_as_written
        def fill(*batch):
            missing = batch_size - tf.shape(batch[0])[0]
            return tuple(tf.ensure_shape(tf.pad(x, [[0, missing]] + [[0, 0]] * (x.ndim - 1)), [batch_size, *x.shape[1:]]) for x in batch)

        examples = self._source.examples(self._slice(split))
        batches = examples.map(prepare, num_parallel_calls=_WORKERS, deterministic=True).batch(batch_size).map(fill)
        index, count = shard
        part = batch_size // count
        return _finish(batches.map(_as_written(lambda *batch: tuple(x[index * part : (index + 1) * part] for x in batch))))

    def diagnose(self, split: str) -> InputError | None:
        """Reads every image of "train", "validation" or "test" and returns what is wrong with the first bad one; None if there is none.

        For when training or evaluation has failed: an error inside a pipeline does not name the example.
        """
        name, where = None, f"data set {self.source!r}, {split}"
        try:
            for example in self._source.examples(self._slice(split)):
                name, label = example["name"].numpy().decode(errors="replace"), int(example["label"])
                if not 0 <= label < self.num_classes:
                    return InputError(
                        f"{where}: {name} has label {label}; expected 0..{self.num_classes - 1} (the split may be unlabelled)"
                    )
                try:
                    self.preprocessing.evaluate(example["image"])
                except tf.errors.OpError as error:
                    return InputError(f"{where}: {name} cannot be decoded as an image: {_reason(error)}")
        except tf.errors.OpError as error:
            return InputError(f"{where}: cannot be read after {name or 'the start'}: {_reason(error)}")
        return None

    def _slice(self, split: str) -> str:
        """The split of the source, or the slice of one, that "train", "validation" or "test" means here."""
        if split == "test":
            return self.test_split
        if split not in ("train", "validation"):
            raise InputError(f"unknown split {split!r}; expected 'train', 'validation' or 'test'")
        name, start, stop = self._source.bounds(self.train_split)
        if self.validation_split is not None:
            validation = self._source.bounds(self.validation_split)
            if validation[0] == name and validation[1] < stop and start < validation[2]:
                raise InputError(
                    f"ImageData: validation_split {self.validation_split!r} shares examples with train_split {self.train_split!r}; "
                    "expected slices that do not overlap"
                )
            return self.train_split if split == "train" else self.validation_split
        border = stop - self.validation_examples
        if border <= start:
            raise InputError(
                f"ImageData.validation_examples: expected fewer than the {stop - start} examples of {self.train_split!r}, "
                f"got {self.validation_examples}"
            )
        if split == "train":
            return f"{name}[{start}:{border}]"
        if border == stop:
            raise InputError(
                "there is no validation split: bind ImageData.validation_split to a split of the data set, "
                "or ImageData.validation_examples to the number of training examples to hold out"
            )
        return f"{name}[{border}:{stop}]"


def _mix(seed: int, number: tf.Tensor) -> tf.Tensor:
    """int64 [2], scrambled from (seed, number): neighbours are as different as strangers."""
    pair = tf.stack([tf.constant(seed, tf.int64), number])
    return tf.random.stateless_uniform([2], pair, minval=None, maxval=None, dtype=tf.int64)


def _shuffle(examples: tf.data.Dataset, buffer_size: int, seed: tf.Tensor) -> tf.data.Dataset:
    """`examples.shuffle` by the seed (int64 [2]) alone; the method itself would mix in the global one of tf.random.set_seed."""
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(examples),
        buffer_size=buffer_size,
        seed=seed[0],
        seed2=seed[1],
        reshuffle_each_iteration=False,
        output_types=[spec.dtype for spec in examples.element_spec],
        output_shapes=[spec.shape for spec in examples.element_spec],
    )
    return tf.data.experimental.from_variant(variant, examples.element_spec)


def _finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Adds prefetching, and makes several workers share each batch: sharing out files, the default, would change what an epoch is."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # TensorFlow's tuner sleeps between its rounds, twice as long each time, and an iterator cannot be destroyed before it wakes: that
    # doubled the life of a search's child of 20 seconds.
    options.autotune.enabled = False
    return batches.prefetch(_PREFETCHED_BATCHES).with_options(options)


def _check_integer(what: str, value: int, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"{what}: expected an integer of {least} or more, got {value!r}")


def _reason(error: tf.errors.OpError) -> str:
    """The first line of TensorFlow's message, without the names of its functions."""
    return re.sub(r"\{\{.*?\}\}\s*", "", error.message).split("\n")[0]
