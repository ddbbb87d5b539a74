"""The preparation of ImageNet's images at 224 pixels, compared with only decoding the same files."""

import tensorflow as tf

from nasnet_tf.data import ImageData, batches
from tools.bench import pictures
from tools.bench.timing import Options, Row, alone, timed

_BATCH_SIZE = 32
_BATCHES = 30  # batches in a round; more than the pipeline prefetches
_WARM_UP_BATCHES = 2
_IMAGES = 500


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured in turns in one process. Bare decoding has its files in memory; the package reads them from disk."""
    samples = alone(streams, options.rounds, options.quick, options.data_dir, options.workdir)
    amount = 4 if options.quick else _BATCH_SIZE * _BATCHES
    goals = {"evaluation": "0.8", "training": "0.5"}
    pairs = {kind: {"ours": samples[kind], "decoding": samples["decoding"]} for kind in goals}
    return [Row(f"input, {kind}, 224 pixels", "images/s", pairs[kind], goal, amount) for kind, goal in goals.items()]


def streams(rounds: int, quick: bool, data_dir: str | None, workdir: str):
    """Returns the samples of bare decoding, and of the batches for training and for evaluation."""
    data = pictures.image_data(data_dir, workdir, 8 if quick else _IMAGES, 32 if quick else 224)
    size, warm_up, count = (4, 1, 1) if quick else (_BATCH_SIZE, _WARM_UP_BATCHES, _BATCHES)
    kinds = {
        "decoding": lambda: decoding(data, size),
        "training": lambda: data.train(size, 0),
        "evaluation": lambda: data.evaluation("train", size).repeat(),
    }
    samples = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, make in kinds.items():
            # A fresh iterator each time, because an idle one would prepare images while the others are measured.
            stream = iter(make())
            take(stream, warm_up)
            samples[kind].append(timed(lambda stream=stream: take(stream, count)))
            del stream
    return samples


def take(stream, count: int) -> None:
    """Reads `count` batches of an iterator."""
    for _ in range(count):
        next(stream)


def decoding(data: ImageData, batch_size: int) -> tf.data.Dataset:
    """Returns endless batches of one pixel of each training image, decoded with as many parallel calls as the package uses."""
    encoded = [example["image"] for example in data._source.examples(data._slice("train")).take(_IMAGES)]

    @tf.autograph.experimental.do_not_convert
    def decode(content):
        # Returning a pixel keeps the decoding from being optimized away.
        return tf.io.decode_image(content, channels=3, expand_animations=False)[0, 0]

    images = tf.data.Dataset.from_tensor_slices(encoded).repeat()
    return batches.finish(images.map(decode, num_parallel_calls=batches.WORKERS, deterministic=True).batch(batch_size))
