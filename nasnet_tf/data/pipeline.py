"""Batches of images for training, evaluation and search.

The training stream is a function of (seed, step) alone: it can be entered at any step, and two processes that ask for the same step get
the same bits. Epoch e is shuffled by (seed, e); example n of the stream, counted over all epochs, is augmented by (seed, n).
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Mapping

import tensorflow as tf

from nasnet_tf.data.preprocessing import Preprocessing, preprocessing_from_config
from nasnet_tf.data.sources import Source, open_source
from nasnet_tf.data.splits import Splits, check_hold_out
from nasnet_tf.errors import InputError, reason

# AutoGraph would rewrite the functions given to tf.data; they need none of it, and it took 9/10 of the time to the first batch.
_as_written = tf.autograph.experimental.do_not_convert


_WORKERS = max(2, os.cpu_count() or 1)  # images prepared at a time
_BATCHES_AT_A_TIME = 2  # so that one's last images do not keep the workers of the next waiting
_PREFETCHED_BATCHES = 4
_told: set[str] = set()  # summaries of folders, each once in a process


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set, how it is divided, and how its images are prepared. Nothing is read before it is asked for.

    Attributes:
      source: the name of the data set, see `open_source`.
      preprocessing: what images go through.
      data_dir: where TFDS data sets are prepared; `digits` and folders do not use it.
      train_split: what is trained on, e.g. "train" or "train[:45000]".
      validation_split: what the search and early stopping look at. None: of a folder its split `validation`; where there is none, and of
        other sets, the last `validation_examples` of `train_split`, which are then not trained on.
      validation_examples: size of that hold-out, or its share of `train_split` such as "10%"; 0 for none.
      test_split: what is reported ("validation" for imagenet2012, whose test labels are secret). Of a folder that has a split `test` it is
        never the one that validates.
      shuffle_buffer: how many encoded images are shuffled at a time; all of a smaller data set.
      cache: keep the encoded training images in memory after their first reading. CIFAR takes 0.1 GB, ImageNet 140 GB.
    """

    source: str
    preprocessing: Preprocessing
    data_dir: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    validation_examples: int | str = 0
    test_split: str = "test"
    shuffle_buffer: int = 50_000
    cache: bool = True

    def __post_init__(self):
        check_hold_out(self.validation_split, self.validation_examples)
        _check_integer("ImageData.shuffle_buffer", self.shuffle_buffer, least=1)

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # without what was opened

    @functools.cached_property
    def _source(self) -> Source:
        return open_source(self.source, self.data_dir)

    @functools.cached_property
    def _splits(self) -> Splits:
        splits = Splits(self._source, self.train_split, self.validation_split, self.validation_examples, self.test_split)
        if self._source.is_folder and (summary := splits.summary()) not in _told:
            _told.add(summary)
            print(summary, file=sys.stderr, flush=True)
        return splits

    def share_examples(self, split: str, other: str) -> bool:
        """Whether two of "train", "validation" and "test" have examples in common."""
        return self._splits.share_examples(split, other)

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
        """What `description` described; a description may say more than that."""
        fields = {field.name: description[field.name] for field in dataclasses.fields(cls) if field.name in description}
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

        An image that cannot be decoded comes out as zeros with label -1 at its place, for all others to keep theirs; see `names`.

        Args:
          batch_size: examples of a batch, over all replicas and workers.
          seed: other seeds give another order and other augmentation.
          start_step: how many batches to leave out. They are not decoded, only passed over.
          shard: (index, count): only the rows index * batch_size / count up to the next worker's of each batch are prepared, for workers
            that share out each batch. All of them read all encoded images, as the order is shuffled.

        Returns:
          (images float32 [batch_size / count, image_size, image_size, 3], labels int32 [batch_size / count]), without end.
        """
        size, first = _rows(batch_size, shard)

        @_as_written
        def prepare(row, number, encoded, label):
            image = self.preprocessing.train(encoded, tf.stack([tf.constant(seed, tf.int64), number]))
            return row, image, tf.cast(label, tf.int32)

        @_as_written
        def place(rows, images, labels):
            rows, shape = rows[:, None], [size, *images.shape[1:]]
            # Scattering copies the batch: only where a row is missing.
            images = tf.cond(tf.shape(images)[0] == size, lambda: images, lambda: tf.scatter_nd(rows, images, shape))
            return tf.ensure_shape(images, shape), tf.scatter_nd(rows, labels + 1, [size]) - 1

        @_as_written
        def prepare_batch(numbers, example):
            mine = (x[first : first + size] for x in (numbers, *example))
            prepared = tf.data.Dataset.from_tensor_slices((tf.range(size), *mine))
            # Errors are dropped inside a batch, where the rows tell what is missing: a data set around each image stalled the pipeline.
            prepared = prepared.map(prepare, num_parallel_calls=_WORKERS, deterministic=True).ignore_errors()
            return prepared.batch(size).map(place).concatenate(nothing).take(1)

        side = self.image_size
        nothing = tf.data.Dataset.from_tensors((tf.zeros([size, side, side, 3]), tf.fill([size], -1)))
        batches = self._stream(self._train_examples, batch_size, seed, start_step)
        return _finish(
            batches.interleave(prepare_batch, cycle_length=_BATCHES_AT_A_TIME, num_parallel_calls=_BATCHES_AT_A_TIME, deterministic=True)
        )

    def names(self, batch_size: int, seed: int, step: int) -> list[str]:
        """The names of the examples of one whole training batch, in its order; for messages.

        Reads the epoch up to there (encoded, not decoded): seconds for CIFAR-10, up to as long as reading all files for ImageNet.
        """
        _rows(batch_size, (0, 1))
        examples = self._source.examples(self._slice("train")).map(_as_written(lambda example: (example["name"],)))
        _, (names,) = next(iter(self._stream(examples, batch_size, seed, step)))
        return [name.decode(errors="replace") for name in names.numpy()]

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> list[str]:
        """The names of those examples of a whole training batch that have label -1; takes as long as `names`, twice."""
        _, labels = next(iter(self.train(batch_size, seed, step)))
        return [name for name, label in zip(self.names(batch_size, seed, step), labels.numpy(), strict=True) if label < 0]

    def _stream(self, examples: tf.data.Dataset, batch_size: int, seed: int, start_step: int) -> tf.data.Dataset:
        """Batches of (number in the stream, example) without end, in the order of training; examples are tuples."""
        _check_integer("start_step", start_step, least=0)
        start = start_step * batch_size
        first_epoch, passed = divmod(start, self.num_train_examples)

        @_as_written
        def epoch(number):
            return _shuffle(examples, self.shuffle_buffer, _mix(seed, number))

        stream = tf.data.Dataset.counter(first_epoch).flat_map(epoch).skip(passed).enumerate(start)
        return stream.batch(batch_size, drop_remainder=True)

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Every example of a split exactly once, in batches of one size. An image that cannot be decoded is an error here.

        Args:
          split: "train", "validation" or "test".
          batch_size: examples of a batch, over all replicas and workers.
          shard: (index, count): the rows of each batch to prepare, as in `train`. All workers get equally many batches.

        Returns:
          (images float32 [batch_size / count, image_size, image_size, 3], labels int32 [batch_size / count], weights float32 [batch_size /
          count]): weight 1, and 0 for the examples that fill up the last batch, whose images and labels are 0.
        """
        size, first = _rows(batch_size, shard)
        num_examples = self.num_examples(split)
        num_batches = -(-num_examples // batch_size)
        in_last = min(max(num_examples - (num_batches - 1) * batch_size - first, 0), size)

        @_as_written
        def is_mine(number, example):
            return (number % batch_size >= first) & (number % batch_size < first + size)

        @_as_written
        def prepare(number, example):
            return self.preprocessing.evaluate(example["image"]), tf.cast(example["label"], tf.int32), tf.constant(1.0)

        side = self.image_size
        filling = tf.data.Dataset.from_tensors((tf.zeros([side, side, 3]), 0, 0.0)).repeat(size - in_last)
        examples = self._source.examples(self._slice(split)).enumerate()
        if size < batch_size:
            examples = examples.filter(is_mine)
        prepared = examples.map(prepare, num_parallel_calls=_WORKERS, deterministic=True)
        batches = prepared.concatenate(filling).batch(size, drop_remainder=True)
        return _finish(batches.apply(tf.data.experimental.assert_cardinality(num_batches)))

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
                    return InputError(f"{where}: {name} cannot be decoded as an image: {reason(error)}")
        except tf.errors.OpError as error:
            return InputError(f"{where}: cannot be read after {name or 'the start'}: {reason(error)}")
        return None

    def _slice(self, split: str) -> str:
        """The split of the source, or the slice of one, that "train", "validation" or "test" means here."""
        return self._splits.find(split)


def _rows(batch_size: int, shard: tuple[int, int]) -> tuple[int, int]:
    """(number of rows, first row) of each batch that a worker prepares."""
    _check_integer("batch_size", batch_size, least=1)
    index, count = shard
    _check_integer("shard count", count, least=1)
    if type(index) is not int or not 0 <= index < count:
        raise InputError(f"shard: expected (index, count) with an index of 0..{count - 1}, got {shard!r}")
    if batch_size % count:
        raise InputError(f"batch_size: expected a multiple of the {count} workers that share each batch, got {batch_size}")
    return batch_size // count, index * (batch_size // count)


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
    # Images are small, and others are prepared at the same time: handing parts of one to other threads costs more than it saves.
    options.threading.max_intra_op_parallelism = 1
    return batches.prefetch(_PREFETCHED_BATCHES).with_options(options)


def _check_integer(what: str, value: int, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"{what}: expected an integer of {least} or more, got {value!r}")
