"""Counts multiply-adds of the architectures of a space layer by layer, without building their networks."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.genotype import Genotype
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.cell_layers import Kind, Layout, Site
from nasnet_tf.models.costs import graph_mult_adds
from nasnet_tf.models.space.network import SpaceNetwork
from nasnet_tf.models.space.templates import RANK, is_statistic, named_weights, run_layer, without_values


def count_mult_adds(network: SpaceNetwork, genotype: Genotype) -> int:
    """Returns the multiply-adds of an inference on one image, as count_costs counts them for build_network of the genotype.

    Raises:
      InputError: as in SpaceNetwork.plan.
    """
    total = _count(network.stem, network.image_size, 3)
    for layer, sources, _, layout in network.layouts(genotype):
        for site, size in _sized(layer, layout, [network.sizes[source] for source in sources]):
            total += _count_kind(site.kind, site.channels, layer.filters, network.style, size)
    return total + layout.output_channels[0] * network.num_classes


def _sized(layer: Cell, layout: Layout, sizes: Sequence[int]) -> Iterator[tuple[Site, int]]:
    """Yields the layers of a cell that may have multiply-adds, with the heights of their inputs; sizes: heights of the cell's inputs."""
    for fit, halvings, size in zip(layout.fits, layer.reductions, sizes, strict=True):
        for site in fit:
            yield site, size
            size = math.ceil(size / 2) if halvings else size
    before = sizes[0]
    for _ in range(layer.reductions[0]):
        before = math.ceil(before / 2)
    after = math.ceil(before / 2) if layer.is_reduction else before
    for site in itertools.chain.from_iterable(layout.branches):
        yield site, before if site.kind.stride == 2 else after
    for site in itertools.chain.from_iterable(layout.output_fits.values()):
        yield site, before


@functools.cache
def _count_kind(kind: Kind, channels: int, filters: int, style, size: int) -> int:
    return _count(without_values(kind, channels, filters, style), size, channels)


def _count(layer: keras.layers.Layer, size: int, channels: int) -> int:
    """Returns the multiply-adds of a layer for one input of size x size pixels."""
    named = named_weights(layer)
    shapes = np.array([[*shape, *[1] * (RANK - len(shape))] for _, shape in named], np.int32).reshape(-1, RANK)
    lengths = [sum(math.prod(shape) for name, shape in named if is_statistic(name) == moving) for moving in (False, True)]

    def run(image, weights, statistics):
        return run_layer(layer, image, weights, statistics, shapes, training=False)  # shapes are constants of the graph, not arguments

    images = tf.TensorSpec([1, size, size, channels])
    traced = tf.function(run, autograph=False).get_concrete_function(images, *(tf.TensorSpec([length]) for length in lengths))
    return graph_mult_adds(traced.graph)
