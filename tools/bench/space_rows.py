"""A child in the network of the whole search space, compared with a network of its own that has equal weights."""

import random
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.space.network import SpaceNetwork
from nasnet_tf.models.space.plan import placed_layers, weights_of
from tools.bench.networks import TINY_SPACE, find_case
from tools.bench.timing import Options, Row, alone, in_turns, timed, total

_PEER = "a network of its own"
_STEPS = 5  # timed steps of each architecture, after a warm-up
_RATE = 1e-3


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows, measured in one process with plain gradient descent: first NASNet-A, then a random architecture for each round."""
    found = alone(steps, options.rounds, options.quick)
    yield Row("space: trace, once", "s", {"ours": [found["trace"]]})
    yield Row("space: to the end of the first step of the first child", "s", {"ours": [found["first"]["ours"].pop(0)]})
    found["first"][_PEER].pop(0)
    yield Row("space: to the end of the first step of a later child", "s", found["first"])
    logits, gradients = found["differences"]
    yield Row(f"space: a step; logits differ by {logits:.1e} of the largest, gradients by {gradients:.1e}", "s", found["steady"], "0.87")


def steps(rounds: int, quick: bool):
    """Returns the samples of tracing, of first steps and of later steps, and the largest differences of logits and gradients."""
    space, filters, image_size, batch_size = (TINY_SPACE, 4, 8, 4) if quick else (SearchSpace(), 8, 16, 64)
    config = NetworkConfig(1, "cifar", 3.0, filters=filters, batch_norm_momentum=0.9)
    images = tf.random.stateless_normal([batch_size, image_size, image_size, 3], [1, 2])
    network = SpaceNetwork(space, config, 10, image_size)

    @tf.function(autograph=False, input_signature=network.signature)
    def step(weights, moving, *plan):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, moving = network(images, weights, moving, plan, training=True)
            loss = tf.reduce_sum(logits**2)
        gradient = tape.gradient(loss, weights)
        return weights - _RATE * gradient, moving, logits, gradient

    result = {"trace": timed(step.get_concrete_function), "first": {"ours": [], _PEER: []}, "steady": {"ours": [], _PEER: []}}
    differences = np.zeros(2)
    for number in range(1 + rounds):
        genotype = space.decode(space.sample(random.Random(number))) if number else find_case("child", quick).genotype
        built, answers = [], []
        building = timed(lambda genotype=genotype, built=built: built.append(build_network(genotype, config, 10, image_size)))
        model = built[0]
        given = [tf.constant(array) for array in (*weights_of(model), *network.plan(genotype).arrays)]
        expected = _expected(model, images)  # before the steps below change the model's weights
        result["first"]["ours"].append(timed(lambda given=given, answers=answers: answers.extend(step(*given)[2:])))
        differences = np.maximum(differences, [_difference(*pair) for pair in zip(answers, expected, strict=True)])
        plain = _plain_step(model, images)
        result["first"][_PEER].append(total(building, timed(plain)))
        steady = in_turns({"ours": lambda given=given: step(*given)[0].numpy(), _PEER: plain}, _STEPS)
        for who, samples in steady.items():
            result["steady"][who] += samples
    return result | {"differences": differences.tolist()}


def _plain_step(model, images) -> Callable[[], np.ndarray]:
    variables = model.trainable_variables

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if gradient is not None:
                variable.value.assign_sub(_RATE * gradient)
        return loss

    return lambda: step().numpy()


def _expected(model, images):
    """Returns (logits, gradients of all weights as one vector in the order of a plan)."""
    variables = [variable.value for layer in placed_layers(model) for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_sum(logits**2)
    gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return logits, np.concatenate([np.ravel(gradient) for gradient in gradients])


def _difference(found, expected) -> float:
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
