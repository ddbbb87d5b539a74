"""Checks that one entry in the table adds a stem, with its endpoints, limits and names."""

import dataclasses
import functools

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.convolutions import ConvBn
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.endpoints import endpoints_of
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.stems import STEMS, StemRule
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.weights.names import slim_names
from nasnet_tf.testing import tiny_genotype


def test_a_new_stem_is_one_entry(monkeypatch):
    """The new stem has stride 4 and 10 filters before the multiplier, and one reduction cell follows it."""
    quarter = functools.partial(ConvBn, kernel_size=(4, 4), stride=4, padding="VALID")
    rule = StemRule(quarter, stride=4, cells=1, width=10, smallest_image=32, images_up_to=0, row="cifar", weight_decay=1e-4)
    monkeypatch.setitem(STEMS, "quarter", rule)
    config = NetworkConfig(1, "quarter", stem_multiplier=0.5, filters=8)
    model = build_network(tiny_genotype(), config, 3, (32, 48))
    found = [(endpoint.name, endpoint.stride) for endpoint in endpoints_of(model)]
    assert found[:3] == [("stem", 4), ("cell_stem_0", 8), ("cell_0", 8)]
    assert model.get_layer("stem").output.shape == (None, 8, 12, 5)
    assert model.get_layer("cell_stem_0").filters == 4
    assert config.num_cells == 6 == sum(isinstance(layer, Cell) for layer in model.layers)
    with pytest.raises(InputError, match="image_size: expected 32 or more for the quarter stem, got 31"):
        build_network(tiny_genotype(), config, 3, 31)
    with pytest.raises(InputError, match="3 filters leave 1 for the narrowest cell with the quarter stem"):
        build_network(tiny_genotype(), dataclasses.replace(config, filters=3), 3, 32)
    network = resolve("1 @ 64", genotype=tiny_genotype(), stem="quarter")
    assert (network.config.stem, network.preprocessing, network.image_size) == ("quarter", "cifar", (32, 32))
    with pytest.raises(InputError, match="weight stem/conv/kernel has no counterpart in TF-slim"):
        slim_names(model)
