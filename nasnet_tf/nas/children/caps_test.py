"""Tests that caps count the costs of the built networks."""

import random

from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.children.caps import Caps

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3", "CONV_1X1"))
# Options of a retraining that do not affect the counted costs.
MORE = {"auxiliary_head": True, "dropout_rate": 0.5, "drop_path_rate": 0.3, "bounded_activation": True}


def config(**more):
    return NetworkConfig(cells_per_stack=1, stem="cifar", stem_multiplier=3, filters=4, **more)


def test_caps_limit_the_costs_of_the_built_network():
    data = ImageData("digits", CifarPreprocessing(image_size=8, upsample=1.0))
    for seed in range(3):
        decisions = SPACE.sample(random.Random(seed))
        costs = count_costs(build_network(SPACE.decode(decisions), config(), data.num_classes, data.image_size))
        for name, cost in (("max_parameters", costs.trainable_parameters), ("max_mult_adds", costs.mult_adds)):
            at, below = (Caps(SPACE, lambda: config(**MORE), lambda: data, **{name: cap}) for cap in (cost, cost - 1))
            assert at(decisions)
            assert not below(decisions)
