"""The network of the whole search space beside networks of single genotypes: the same numbers, and what a child costs in each.

  python tools/space_network_speed.py --genotypes=50 --timed=3

For NASNet-A and random genotypes with the weights of a fresh `build_network`: the largest differences of logits and of gradients, relative
to the largest value of each. Then, of some of them, time on the CPU (comparable on a busy machine) to the end of the first training step
and of a steady one, with plain gradient descent on both sides.
"""

import argparse
import random
import statistics
import time

import numpy as np
import tensorflow as tf

from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.space.network import SpaceNetwork
from nasnet_tf.models.space.plan import placed_layers, weights_of

_RATE = 1e-3


def main(argv: list[str] | None = None) -> float:
    """Prints the comparison; returns the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--genotypes", type=int, default=50, help="random ones to compare")
    parser.add_argument("--timed", type=int, default=3, help="of how many of them to take the time")
    parser.add_argument("--steps", type=int, default=5, help="steady steps to take the median of")
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--image_size", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=64)
    args = parser.parse_args(argv)
    space = SearchSpace()
    config = NetworkConfig(1, "cifar", 3.0, filters=args.filters, batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
    images = tf.random.stateless_normal([args.batch_size, args.image_size, args.image_size, 3], [1, 2])
    network = SpaceNetwork(space, config, 10, args.image_size)

    @tf.function(autograph=False, input_signature=network.signature)
    def step(weights, moving, *plan):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, moving = network(images, weights, moving, plan, training=True)
            loss = tf.reduce_sum(logits**2)
        gradient = tape.gradient(loss, weights)
        return weights - _RATE * gradient, moving, logits, gradient

    start = time.process_time()
    step.get_concrete_function()
    print(f"trace of the space: {time.process_time() - start:.1f} s on the CPU", flush=True)
    genotypes = [load_genotype("nasnet_a"), *(space.decode(space.sample(random.Random(seed))) for seed in range(args.genotypes))]
    worst = np.zeros(2)
    for number, genotype in enumerate(genotypes):
        start = time.process_time()
        model = build_network(genotype, config, 10, args.image_size)
        built = time.process_time() - start
        start = time.process_time()
        arrays = [tf.constant(array) for array in network.plan(genotype).arrays]
        planned = time.process_time() - start
        vectors = [tf.constant(vector) for vector in weights_of(model)]
        # Before the network's own steps change its weights.
        expected = _expected(model, images)
        start = time.process_time()
        _, _, logits, gradient = step(*vectors, *arrays)
        first = time.process_time() - start
        differences = [_difference(a, b) for a, b in zip((logits, gradient), expected, strict=True)]
        worst = np.maximum(worst, differences)
        print(f"{genotype.name or number}: differences {differences[0]:.1e} (logits), {differences[1]:.1e} (gradients)", flush=True)
        if number <= args.timed:
            _, steady = _timed(lambda vectors=vectors, arrays=arrays: step(*vectors, *arrays)[0], args.steps)
            plain, plain_steady = _timed(_plain_step(model, images), args.steps)
            print(
                f"{genotype.name or number}: to the end of the first step {planned + first:.2f} s, as a network of its own "
                f"{built + plain:.2f} s; a steady step {steady:.3f} s, {plain_steady:.3f} s, ratio {steady / plain_steady:.2f}",
                flush=True,
            )
    print(f"largest differences of {len(genotypes)} genotypes: {worst[0]:.1e} (logits), {worst[1]:.1e} (gradients)")
    return float(worst.max())


def _plain_step(model, images):
    variables = model.trainable_variables

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if gradient is not None:
                variable.value.assign_sub(_RATE * gradient)
        return loss

    return step


def _timed(call, steps: int) -> tuple[float, float]:
    """(seconds of the first call, median of the steady ones), on the CPU."""
    seconds = []
    for _ in range(1 + steps):
        start = time.process_time()
        call().numpy()
        seconds.append(time.process_time() - start)
    return seconds[0], statistics.median(seconds[1:])


def _expected(model, images):
    variables = [variable for layer in placed_layers(model) for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_sum(logits**2)
    gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return logits, np.concatenate([np.ravel(gradient) for gradient in gradients])


def _difference(found, expected) -> float:
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


if __name__ == "__main__":
    main()
