"""Measures how fast images are prepared, beside how fast the same files can be decoded at all.

    python tools/input_speed.py --data_dir=/data/tfds
    python tools/input_speed.py --source=cifar10 --data_dir=/data/tfds --preprocessing='{"kind": "cifar"}' --batch_size=128

Prints images per second: `decode` is tf.io.decode_image of files that are in memory, with as many calls at a time as the pipeline has and
nothing else; `train` and `evaluation` are ImageData's, reading included. Each round measures all three, one after the other, so that
whatever else the machine does hits them alike; the medians over the rounds, and their ratios to `decode`, come last. The same for the time
on the CPU that an image takes: on a busy machine it says more.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.data import ImageData, batches, preprocessing_from_config

SEED = 0
WARM_UP_BATCHES = 2


def decoding(data: ImageData, batch_size: int, files: int) -> tf.data.Dataset:
    """Batches, without end, of the sizes (int32 [batch_size, 3]) of the first so many training images, decoded and dropped."""
    encoded = [example["image"] for example in data._source.examples(data._slice("train")).take(files)]

    @tf.autograph.experimental.do_not_convert
    def decode(content):
        # A pixel, for the decoding not to be optimized away.
        return tf.io.decode_image(content, channels=3, expand_animations=False)[0, 0]

    images = tf.data.Dataset.from_tensor_slices(encoded).repeat()
    return batches.finish(images.map(decode, num_parallel_calls=batches.WORKERS, deterministic=True).batch(batch_size))


def rates(batches: Iterator, batch_size: int, count: int) -> tuple[float, float]:
    """Images per second, and images per second that the process spends on a CPU, of the next `count` batches."""
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(count):
        next(batches)
    images = count * batch_size
    return images / (time.perf_counter() - start), images / (time.process_time() - cpu_start)


def measure(data: ImageData, batch_size: int, batches: int, rounds: int) -> list[dict[str, tuple[float, float]]]:
    """{"decode", "train", "evaluation"} as `rates` gives them, one dict for each round."""
    kinds = {
        "decode": lambda: decoding(data, batch_size, files=512),
        "train": lambda: data.train(batch_size, SEED),
        "evaluation": lambda: data.evaluation("train", batch_size).repeat(),
    }
    rows = []
    for _ in range(rounds):
        row = {}
        for kind, make in kinds.items():
            # A fresh iterator each time: one that waits would go on preparing images while the others are measured.
            stream = iter(make())
            for _ in itertools.repeat(None, WARM_UP_BATCHES):
                next(stream)
            row[kind] = rates(stream, batch_size, batches)
            del stream
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", default="imagenet2012", help="a name that ImageData takes")
    parser.add_argument("--data_dir", help="where TensorFlow Datasets prepares its data")
    parser.add_argument("--preprocessing", type=json.loads, default={"kind": "imagenet"}, help="JSON, e.g. %(default)s")
    parser.add_argument("--train_split", default="train")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=30, help="measured in each round; more than are prefetched")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    data = ImageData(args.source, preprocessing_from_config(args.preprocessing), args.data_dir, train_split=args.train_split)
    rows = measure(data, args.batch_size, args.batches, args.rounds)
    for row in rows:
        print("  ".join(f"{kind} {speed:.0f}" for kind, (speed, _) in row.items()))
    for kind in rows[0]:
        speed, per_cpu_second = (statistics.median(row[kind][i] for row in rows) for i in range(2))
        ratio, cpu_ratio = (statistics.median(row[kind][i] / row["decode"][i] for row in rows) for i in range(2))
        cpu = f"{1000 / per_cpu_second:.2f} ms of CPU an image, {cpu_ratio:.0%} of decoding"
        print(f"{kind}: {speed:.0f} images/s, {ratio:.0%} of decoding; {cpu}")


if __name__ == "__main__":
    main()
