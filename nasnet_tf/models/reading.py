"""What a built network was built from: its genotype and its configuration, read off its layers."""

import itertools
import re
from collections.abc import Iterator, Sequence

import keras

from nasnet_tf.genotype import Genotype
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.heads import Stem
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.stems import STEMS


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """A detector has models among its layers."""
    for layer in model.layers:
        yield from all_layers(layer) if isinstance(layer, keras.Model) else [layer]


def first_stack(cells: Sequence[Cell]) -> int:
    """Normal cells before the first reduction that is not of the stem."""
    after_stem = itertools.dropwhile(lambda cell: cell.is_reduction, cells)
    return sum(1 for _ in itertools.takewhile(lambda cell: not cell.is_reduction, after_stem))


def genotype_of(model: keras.Model) -> Genotype:
    """The cells of a classifier or a detector; without a name."""
    cells = [layer for layer in all_layers(model) if isinstance(layer, Cell)]
    normal = next(cell for cell in cells if not cell.is_reduction)
    genotype = Genotype(num_input_states=normal.num_input_states, normal_cell=normal.cell)
    genotype.reduction_cell.CopyFrom(next(cell.cell for cell in cells if cell.is_reduction))
    return genotype


def config_of(model: keras.Model) -> NetworkConfig:
    """With which `build_network` builds the same classifier again."""
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    normal, stem = next(cell for cell in cells if not cell.is_reduction), model.get_layer("stem")
    assert isinstance(stem, Stem)
    width = STEMS[stem.kind].width or normal.filters
    multiplier = stem.filters / width
    length = first_stack(cells)
    num_normal = sum(re.fullmatch(r"cell_\d+", cell.name) is not None for cell in cells)
    # The first cell after a reduction reads as its h_{i-1} what the reduction itself read, or the state before that.
    after, read = model.get_layer(f"cell_{length}").input, model.get_layer("reduction_cell_0").input
    skips = len(normal.cell.outputs) == 1 and isinstance(after, list) and after[1] is not (read[0] if isinstance(read, list) else read)
    return NetworkConfig(
        length,
        stem.kind,
        multiplier if int(width * multiplier) == stem.filters else (stem.filters + 0.5) / width,
        filters=normal.filters,
        prev_skips_reduction=skips,
        auxiliary_head=any(layer.name == "auxiliary_logits" for layer in model.layers),
        dropout_rate=next((layer.rate for layer in model.layers if isinstance(layer, Dropout)), 0.0),
        drop_path_rate=cells[-1].drop_path_rate,
        stacking="released" if num_normal == 3 * length else "strided_normal",
        **vars(normal.style),
    )
