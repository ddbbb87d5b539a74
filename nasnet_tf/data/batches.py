"""Makes batches of prepared images, as tf.data pipelines. The number of an example is its index in its split.

Each worker looks up which examples belong to its rows of a batch, and reads only these.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nasnet_tf.base.cpus import available_cpus
from nasnet_tf.base.values import Count, Natural, check_value, expect

# AutoGraph would rewrite the functions given to tf.data. They do not need it, and it took 9/10 of the time to the first batch.
as_written = tf.autograph.experimental.do_not_convert

WORKERS = max(2, available_cpus())  # number of images that are prepared at a time
_PARALLEL_READS = 4  # may be more than the CPUs, because a read mostly waits
_EXAMPLES_PER_READ = 16  # in evaluation; in training, a read is a batch
_PARALLEL_BATCHES = 2  # so that threads begin the next batch while the last images of this one are prepared
_PREFETCHED_BATCHES = 4

# Example numbers, int64 [n] -> (encoded images string [n], labels int64 [n, *shape of a label]); uses TensorFlow operations.
Load = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def rows_of(batch_size: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Returns (number of rows, first row) of the part of each batch that a worker prepares.

    Args:
      batch_size: rows of a whole batch, a multiple of the number of workers.
      shard: (index, count) of the worker.
    """
    index, count = shard
    check_value("batch_size", batch_size, Count)
    check_value("shard count", count, Count)
    expect(type(index) is int and 0 <= index < count, "shard", f"(index, count) with an index of 0..{count - 1}", shard)
    expect(batch_size % count == 0, "batch_size", f"a multiple of the {count} workers that share each batch", batch_size)
    return batch_size // count, index * (batch_size // count)


def training_batches(
    load: Load,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    examples_at: Callable[[np.ndarray], np.ndarray],
    side: int,
    batch_size: int,
    start_step: int,
    shard: tuple[int, int],
    label_shape: tuple[int, ...] = (),
) -> tf.data.Dataset:
    """Returns the batches that ImageData.train describes.

    Args:
      load: reads examples by their numbers.
      prepare: (encoded image, position in the training stream int64 []) -> float32 [side, side, 3].
      examples_at: positions in the training stream, int64 [n] -> example numbers, int64 [n].
    """
    size, first = rows_of(batch_size, shard)
    check_value("start_step", start_step, Natural)

    @as_written
    def read(step):
        places = step * batch_size + tf.range(first, first + size, dtype=tf.int64)
        numbers = tf.ensure_shape(tf.numpy_function(examples_at, [places], tf.int64), [size])
        return places, *load(numbers)

    @as_written
    def prepare_row(row, place, encoded, label):
        return row, prepare(encoded, place), tf.cast(label, tf.int32)

    @as_written
    def place_rows(rows, images, labels):
        rows, shape = rows[:, None], [size, *images.shape[1:]]
        # Scattering copies the batch, so it is done only if a row is missing.
        images = tf.cond(tf.shape(images)[0] == size, lambda: images, lambda: tf.scatter_nd(rows, images, shape))
        return tf.ensure_shape(images, shape), tf.scatter_nd(rows, labels + 1, [size, *label_shape]) - 1

    nothing = tf.data.Dataset.from_tensors((tf.zeros([size, side, side, 3]), tf.fill([size, *label_shape], -1)))

    @as_written
    def prepare_batch(*columns):
        rows = tf.data.Dataset.from_tensor_slices((tf.range(size), *columns))
        # Errors are dropped inside a batch, where row numbers show which images are missing. One data set per image stalled the pipeline.
        prepared = rows.map(prepare_row, num_parallel_calls=WORKERS, deterministic=True).ignore_errors()
        return prepared.batch(size).map(place_rows).concatenate(nothing).take(1)

    batches = tf.data.Dataset.counter(start_step).map(read, num_parallel_calls=_PARALLEL_READS, deterministic=True)
    return finish(
        batches.interleave(prepare_batch, cycle_length=_PARALLEL_BATCHES, num_parallel_calls=_PARALLEL_BATCHES, deterministic=True)
    )


def evaluation_batches(
    load: Load,
    prepare: Callable[[tf.Tensor], tf.Tensor],
    examples: range,
    side: int,
    batch_size: int,
    shard: tuple[int, int],
    label_shape: tuple[int, ...] = (),
) -> tf.data.Dataset:
    """Returns the batches that ImageData.evaluation describes.

    Args:
      load: reads examples by their numbers.
      prepare: encoded image -> float32 [side, side, 3].
      examples: numbers of the examples to evaluate.
    """
    size, first = rows_of(batch_size, shard)
    num_batches = -(-len(examples) // batch_size)
    places = np.arange(len(examples), dtype=np.int64)
    mine = places[(places % batch_size >= first) & (places % batch_size < first + size)]

    @as_written
    def prepare_row(encoded, label):
        return prepare(encoded), tf.cast(label, tf.int32), tf.constant(1.0)

    nothing = tf.data.Dataset.from_tensors((tf.zeros([side, side, 3]), tf.zeros(label_shape, tf.int32), 0.0))
    filling = nothing.repeat(num_batches * size - len(mine))
    reads = tf.data.Dataset.from_tensor_slices(examples.start + mine).batch(_EXAMPLES_PER_READ)
    rows = reads.map(as_written(load), num_parallel_calls=_PARALLEL_READS, deterministic=True).unbatch()
    prepared = rows.map(prepare_row, num_parallel_calls=WORKERS, deterministic=True)
    batches = prepared.concatenate(filling).batch(size, drop_remainder=True)
    return finish(batches.apply(tf.data.experimental.assert_cardinality(num_batches)))


def finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Adds prefetching and options for threads to a pipeline of batches."""
    options = tf.data.Options()
    # TensorFlow's tuner sleeps between its rounds, twice as long each time, and an iterator cannot be destroyed before the tuner wakes.
    # That doubled the time of a child of a search that takes 20 seconds.
    options.autotune.enabled = False
    # TensorFlow's rewrites do not make these pipelines faster, and the search for them delays the first batch.
    options.experimental_optimization.apply_default_optimizations = False
    # Images are small, and many are prepared at a time, so splitting one among threads costs more than it saves.
    options.threading.max_intra_op_parallelism = 1
    return batches.prefetch(_PREFETCHED_BATCHES).with_options(options)
