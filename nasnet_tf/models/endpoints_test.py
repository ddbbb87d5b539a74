"""Checks that the two parts of a cut network compute what the whole one does, for images of any size."""

import dataclasses
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.endpoints import before_last_reduction, cut, endpoints_of
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.testing import tiny_genotype

CONFIG = NetworkConfig(1, "imagenet", 0.25, filters=8, prev_skips_reduction=True, auxiliary_head=True, drop_path_rate=0.2)


SPACE = SearchSpace(num_blocks=3)
SEARCHED = SPACE.decode(SPACE.sample(random.Random(1)), "searched")


@pytest.mark.parametrize(
    ("genotype", "size"), [("nasnet_a", (49, 67)), ("nasnet_b", (33, 50)), ("nasnet_c", (66, 40)), (SEARCHED, (51, 37))]
)
def test_trunk_and_rest_equal_the_whole_network(genotype, size):
    sized = build_network(genotype, CONFIG, 3, 64)
    whole = keras.Model(sized.input, sized.output["logits"])
    any_size = build_network(genotype, NetworkConfig(1, "imagenet", 0.25, filters=8, prev_skips_reduction=True), 3, (None, None))
    any_size.set_weights(whole.get_weights())
    trunk, rest = cut(sized, "cell_1")
    images = tf.random.stateless_normal([2, *size, 3], [1, 2])
    states = trunk(images)
    assert len(states) == (4 if genotype == "nasnet_b" else 2)
    assert [state.shape[1:3] for state in states] == [tuple(-(-((side - 1) // 2) // 8) for side in size)] * len(states)
    np.testing.assert_array_equal(rest(states), any_size(images))
    kernel = trunk.get_layer("cell_0").trainable_variables[0]
    kernel.assign(kernel + 1.0)
    assert any(weight is kernel for weight in sized.weights)
    assert not any("auxiliary" in weight.path for weight in trunk.weights + rest.weights)


def test_networks_can_be_cut_at_every_endpoint():
    model = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
    images = tf.random.stateless_normal([1, 40, 33, 3], [1, 2])
    for endpoint in endpoints_of(model):
        trunk, rest = cut(model, endpoint.name)
        assert trunk.output[0].shape[-1] == endpoint.channels
        np.testing.assert_array_equal(rest(trunk(images)), model(images))
        assert {weight.path for weight in trunk.weights} | {weight.path for weight in rest.weights} == {w.path for w in model.weights}


def test_detectors_are_cut_where_the_original_is():
    """The cut is before the second reduction cell, which reads the two cells before it. The network is `large` with fewer filters."""
    config = dataclasses.replace(ZOO["large"].config, penultimate_filters=None, filters=8)
    model = build_network("nasnet_a", config, None, (None, None))
    found = before_last_reduction(model)
    assert (found.name, found.stride) == ("cell_11", 16)
    trunk, _ = cut(model, found.name)
    assert [state.shape[-1] for state in trunk.output] == [2 * 6 * 8] * 2
    assert {"cell_10", "cell_11"} < {layer.name for layer in trunk.layers}
    assert "cell_12" not in {layer.name for layer in trunk.layers}


def test_an_unknown_endpoint_is_refused():
    model = build_network(tiny_genotype(), NetworkConfig(1, "cifar", 1.0, filters=4), 2, 8)
    with pytest.raises(InputError, match="endpoint 'cell_9': expected one of stem, cell_0, reduction_cell_0"):
        cut(model, "cell_9")
