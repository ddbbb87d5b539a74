"""Inference of the mobile network in TensorFlow, as a Keras model and as the frozen graph of exports, compared with keras.applications."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from nasnet_tf.serving.exports.inference_graph import freeze
from tools.bench.networks import find_case
from tools.bench.timing import LIMIT, Options, Row, alone, in_turns


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows. All rows of one batch size are measured in the same process, in turns."""
    for batch_size in (32, 1):
        samples = alone(runs, batch_size, options.rounds, options.quick)
        peer = list(samples)[-1]
        for what in ("as a Keras model", "frozen"):
            pair = {"ours": samples[what], peer: samples[peer]}
            yield Row(f"inference, mobile, batch {batch_size}, {what}", "images/s", pair, LIMIT, batch_size)


def runs(batch_size: int, rounds: int, quick: bool):
    """Returns the samples of our network, as a Keras model and frozen, and of the peer's, which comes last."""
    case = find_case("mobile", quick)
    images, _ = case.batch(batch_size)
    ours, theirs = case.ours(), case.theirs()
    frozen = freeze(ours)
    expected = ours(images, training=False).numpy()
    np.testing.assert_allclose(frozen(images)["output"], expected, atol=1e-3 * np.abs(expected).max())
    calls = {"as a Keras model": graph(ours, images), "frozen": lambda: frozen(images)["output"].numpy(), case.peer: graph(theirs, images)}
    many = rounds if quick else rounds * max(1, 8 // batch_size)  # more rounds for single images, which are fast
    return in_turns(calls, many, warm_up=2)


def graph(model, images: tf.Tensor):
    """Returns a function that runs a model on the images as a graph."""
    run = tf.function(lambda images: model(images, training=False), autograph=False, jit_compile=False)
    return lambda: run(images).numpy()
