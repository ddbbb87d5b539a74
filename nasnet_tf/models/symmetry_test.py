"""Checks that genotypes with equal hashes give equal networks."""

import random
import re

import numpy as np
import pytest

from nasnet_tf.genotype import Combine, SearchSpace, genotype_hash
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import swap_sides


def _order(block, filters):
    """Returns the order of a block's channels after its sides are swapped; only concatenations change it."""
    return [*range(filters, 2 * filters), *range(filters)] if block.combine == Combine.CONCAT else [*range(filters)]


@pytest.mark.parametrize("seed", [0, 1])
def test_swapped_sides_only_reorder_the_weights(seed):
    """Layers that read a concatenation have a weight for each channel, so reordered weights give equal outputs."""
    rng, filters = np.random.default_rng(seed), 4
    space = SearchSpace(num_blocks=3, combines=("ADD", "CONCAT"))
    genotype = space.decode(space.sample(random.Random(seed)))
    for cell in (genotype.normal_cell, genotype.reduction_cell):
        cell.blocks[0].combine = Combine.CONCAT
    other = type(genotype)()
    other.CopyFrom(genotype)
    for cell in (other.normal_cell, other.reduction_cell):
        for block in cell.blocks:
            swap_sides(block)
    assert genotype_hash(genotype) == genotype_hash(other)
    config = NetworkConfig(1, "cifar", stem_multiplier=5.0, filters=filters)
    one, two = (build_network(each, config, 3, 16) for each in (genotype, other))
    assert count_costs(one) == count_costs(two)
    for weight in one.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) * (1 if weight.path.endswith(("gamma", "variance")) else rng.choice([-1, 1])))

    def order_of(cell, width, state):
        return _order(cell.blocks[state - 2], width) if state >= 2 else [*range(width)]

    def order_of_outputs(layer):
        order = []
        for state in layer.cell.outputs[0].states:
            order += [len(order) + channel for channel in order_of(layer.cell, layer.filters, state)]
        return order

    makers = {id(layer.output): layer for layer in one.layers}
    values = {weight.path: weight.numpy() for weight in one.weights}
    for layer in one.layers:
        if not layer.name.startswith(("cell", "reduction")):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        for index, tensor in enumerate(inputs):
            if isinstance(maker := makers[id(tensor)], type(layer)):
                _reorder(values, f"{layer.name}/input_{index}/", order_of_outputs(maker))
        for index, block in enumerate(layer.cell.blocks):
            for side in ("left", "right"):
                _reorder(values, f"{layer.name}/block_{index}_{side}/", order_of(layer.cell, layer.filters, getattr(block, side).input))
    values["logits/kernel"] = values["logits/kernel"][order_of_outputs(one.get_layer("cell_2"))]
    swap = {"left": "right", "right": "left"}
    for weight in two.weights:
        weight.assign(values[re.sub(r"(?<=\d_)(left|right)(?=/)", lambda match: swap[match[0]], weight.path)])
    images = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(one(images), two(images), rtol=1e-3)


def _reorder(values, place, order):
    """Reorders the weights below a path along their input channels."""
    if order != sorted(order):
        for path, value in values.items():
            if path.startswith(place) and value.ndim == 4 and value.shape[2] == len(order):
                values[path] = value[:, :, order]
