"""Checks that a network can return its configuration and its genotype."""

import dataclasses

import pytest

from nasnet_tf.genotype import genotype_hash, load_genotype
from nasnet_tf.models.description import config_of, genotype_of, network_from_json
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import tiny_genotype

PLAIN = NetworkConfig(2, "cifar", 3.0, filters=4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prev_skips_reduction": True, "auxiliary_head": True, "dropout_rate": 0.25, "drop_path_rate": 0.5},
        {"stem": "imagenet", "filters": 8, "stem_multiplier": 0.5, "batch_norm_momentum": 0.9, "bounded_activation": True},
        {"stacking": "strided_normal", "stem_multiplier": 1.75},
    ],
)
def test_a_network_read_from_its_description_returns_its_configuration(changes):
    config = dataclasses.replace(PLAIN, **changes)
    model = network_from_json(build_network(tiny_genotype(), config, 3, 32).to_json(), "here")
    assert config_of(model) == config
    if config.stacking == "released":
        assert genotype_hash(genotype_of(model)) == genotype_hash(tiny_genotype())


def test_cells_of_several_outputs_are_described():
    model = build_network("nasnet_b", dataclasses.replace(PLAIN, cells_per_stack=1), 3, 8)
    assert config_of(model) == dataclasses.replace(PLAIN, cells_per_stack=1)
    assert genotype_hash(genotype_of(model)) == genotype_hash(load_genotype("nasnet_b"))
