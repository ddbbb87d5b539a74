"""The limits of the machine."""

import numpy as np
import tensorflow as tf

from tools.bench import pictures
from tools.bench.timing import Options, Row, alone, in_turns

_SIDE, _QUICK_SIDE = 2048, 64  # side of the matrices
_COPIED = 2**28  # bytes: larger than any cache
_PICTURES = 64


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured in turns in one process."""
    samples = alone(limits, options.rounds, options.quick, options.data_dir)
    side = _QUICK_SIDE if options.quick else _SIDE
    amounts = {
        "matrix product, float32": ("GFLOP/s", 2e-9 * side**3),
        "matrix product, bfloat16": ("GFLOP/s", 2e-9 * side**3),
        "copy of memory, bytes read and written": ("GB/s", 2e-9 * (_SIDE if options.quick else _COPIED)),
        "decoding JPEG": ("images/s", 4 if options.quick else _PICTURES),
    }
    return [Row(what, unit, {"ours": samples[what]}, "", amount) for what, (unit, amount) in amounts.items()]


def limits(rounds: int, quick: bool, data_dir: str | None):
    """Returns the samples of matrix products, of copying memory and of decoding JPEG files."""
    side = _QUICK_SIDE if quick else _SIDE
    product = tf.function(lambda a, b: tf.matmul(a, b)[0, 0], autograph=False)
    matrices = {dtype: [tf.cast(tf.random.stateless_normal([side, side], [0, 1]), dtype)] * 2 for dtype in ("float32", "bfloat16")}
    block = np.ones(_SIDE if quick else _COPIED, np.uint8)
    other = np.empty_like(block)
    encoded = tf.constant(pictures.encoded(data_dir, 4 if quick else _PICTURES))
    decode = tf.function(
        lambda: tf.map_fn(lambda content: tf.io.decode_jpeg(content, channels=3)[0, 0, 0], encoded, tf.uint8), autograph=False
    )
    calls = {
        "matrix product, float32": lambda: product(*matrices["float32"]).numpy(),
        "matrix product, bfloat16": lambda: product(*matrices["bfloat16"]).numpy(),
        "copy of memory, bytes read and written": lambda: np.copyto(other, block),
        "decoding JPEG": lambda: decode().numpy(),
    }
    return in_turns(calls, rounds)
