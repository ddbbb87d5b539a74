"""Compares the network of a whole space with the network of one genotype, with the same weights."""

import random

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.space.costs import count_mult_adds
from nasnet_tf.models.space.network import SpaceNetwork
from nasnet_tf.models.space.plan import placed_layers, weights_of

CONFIG = NetworkConfig(1, "cifar", 3.0, filters=4, batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
SPACE = SearchSpace()
IMAGES = tf.random.stateless_normal([4, 11, 11, 3], [1, 2])


def train(network, weights, statistics, *plan):
    """Returns (logits, new moving statistics, gradient of the weights) of one training step."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        logits, moving = network(IMAGES, weights, statistics, plan, training=True)
        loss = tf.reduce_sum(logits**2)
    return logits, moving, tape.gradient(loss, weights)


def expect(model):
    """Returns what `train` returns, but from a network of one genotype, in the order of its plan."""
    with tf.GradientTape() as tape:
        logits = model(IMAGES, training=True)
        loss = tf.reduce_sum(logits**2)
    variables = [variable for layer in placed_layers(model) for variable in layer.trainable_variables]
    assert len(variables) == len(model.trainable_variables)
    gradients = tape.gradient(loss, variables)
    flat = [np.zeros(v.shape).ravel() if g is None else np.ravel(g) for g, v in zip(gradients, variables, strict=True)]
    return logits, weights_of(model)[1], np.concatenate(flat)


def assert_same(found, expected):
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def sampled(space, seed):
    return space.decode(space.sample(random.Random(seed)))


def test_one_trace_computes_the_network_of_each_genotype():
    operations = ("IDENTITY", "SEP_CONV_3X3", "AVG_POOL_3X3")
    space = SearchSpace(num_blocks=2, operations=operations, combines=("ADD", "CONCAT", "LAYER_NORM_ADD"))
    network = SpaceNetwork(space, CONFIG, 3, 11)
    traces = []

    @tf.function(autograph=False, input_signature=network.signature)
    def step(*args):
        traces.append(1)
        return train(network, *args), network(IMAGES, *args[:2], args[2:], training=False)

    for seed in range(6):
        model = build_network(sampled(space, seed), CONFIG, 3, 11)
        tensors = [tf.constant(array) for array in (*weights_of(model), *network.plan(sampled(space, seed)).arrays)]
        trained, inferred = step(*tensors)
        np.testing.assert_allclose(inferred[0], model(IMAGES, training=False), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(inferred[1], tensors[1])
        assert_same(trained, expect(model))
        assert seed > 1 or count_mult_adds(network, sampled(space, seed)) == count_costs(model).mult_adds
    assert len(traces) == 1


def test_fresh_weights_are_those_of_a_new_network():
    network = SpaceNetwork(SPACE, CONFIG, 3, 11)
    plan = network.plan(load_genotype("nasnet_a"))
    model = build_network("nasnet_a", CONFIG, 3, 11)
    weights, statistics = weights_of(model)
    fresh = plan.fresh_weights(seed=1)
    np.testing.assert_array_equal(plan.fresh_statistics(), statistics)
    is_kernel = plan.is_decayed == 1
    np.testing.assert_array_equal(fresh[~is_kernel], weights[~is_kernel])
    start = 0
    for name, shape in plan.weights:
        size = int(np.prod(shape))
        if name.endswith("kernel") and size > 500:
            np.testing.assert_allclose(fresh[start : start + size].std(), weights[start : start + size].std(), rtol=0.2)
        start += size
    assert start == fresh.size
    assert not np.array_equal(fresh, plan.fresh_weights(seed=2))


def test_multiply_adds_are_counted_without_a_network():
    config = NetworkConfig(1, "imagenet", 0.25, filters=8)
    genotype = sampled(SPACE, 1)
    assert count_mult_adds(SpaceNetwork(SPACE, config, 3, 45), genotype) == count_costs(build_network(genotype, config, 3, 45)).mult_adds


def test_unsupported_configurations_and_genotypes_are_errors():
    with pytest.raises(InputError, match="NetworkConfig.drop_path_rate to be off, got 0.2"):
        SpaceNetwork(SPACE, NetworkConfig(1, "cifar", 1.0, filters=4, drop_path_rate=0.2), 3, 11)
    with pytest.raises(InputError, match="'concat_unused', got 'each_block'"):
        SpaceNetwork(SearchSpace(outputs="each_block"), CONFIG, 3, 11)
    network = SpaceNetwork(SearchSpace(operations=("IDENTITY", "CONV_1X1")), CONFIG, 3, 11)
    with pytest.raises(InputError, match=r"an operation of the space \(IDENTITY, CONV_1X1\), got SEP_CONV_5X5"):
        network.plan(load_genotype("nasnet_a"))
    with pytest.raises(InputError, match=r"a combine of the space \(ADD, CONCAT\), got the layer normalization of a sum"):
        SpaceNetwork(SearchSpace(num_blocks=1), CONFIG, 3, 11).plan(sampled(SearchSpace(num_blocks=1, combines=("LAYER_NORM_ADD",)), 0))
    with pytest.raises(InputError, match="of 2 input states, 5 and 5 blocks, 1 and 1 outputs; got 4, 4, 4, 4 and 4"):
        network.plan(load_genotype("nasnet_b"))
