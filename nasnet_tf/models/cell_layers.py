"""The layers of a cell described as data. Cell creates its layers from the description, and SpaceNetwork creates its plans from it."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import keras

from nasnet_tf import genotype as genotypes
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.layers.convolutions import ConvBn
from nasnet_tf.layers.normalization import LayerStyle, MomentNorm
from nasnet_tf.layers.operations import OPERATIONS
from nasnet_tf.layers.reductions import FactorizedReduction


class Kind(NamedTuple):
    """The kind of a layer in a cell.

    Attributes:
      role: "operation", "fit" (a 1x1 convolution to the cell's filters), "reduction" (a factorized reduction) or "norm" (of a sum).
      detail: depends on the role: the enum value of an operation; True if a fit or reduction begins with a ReLU; "layer" or "instance"
        for a norm.
      stride: stride of an operation.
    """

    role: str
    detail: int | bool | str
    stride: int = 1


class Site(NamedTuple):
    """The description of a layer of a cell: its name, its kind and its number of input channels."""

    name: str
    kind: Kind
    channels: int


def make_layer(kind: Kind, filters: int, style: LayerStyle, name: str) -> keras.layers.Layer:
    """Returns a layer of this kind with `filters` output channels, not built yet."""
    if kind.role == "operation":
        return OPERATIONS[kind.detail](filters, style, stride=kind.stride, name=name)
    if kind.role == "norm":
        return MomentNorm(kind.detail, name=name)
    if kind.role == "reduction":
        return FactorizedReduction(filters, style, kind.detail, name=name)
    return ConvBn(filters, style, activation=kind.detail, name=name)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layers of a cell, in the order in which they are built.

    Attributes:
      fits: for each given input state, the layers that bring it to the cell's size and filters; empty if it fits already or is never read.
      branches: for each block, its left and right operation.
      norms: for each block, the normalization of its sum, or None.
      output_fits: {number of an input state: layers} for the input states that are outputs of the cell, converted as in `fits`.
      output_channels: channels of each output.
    """

    fits: list[list[Site]]
    branches: list[tuple[Site, Site]]
    norms: list[Site | None]
    output_fits: dict[int, list[Site]]
    output_channels: list[int]


def cell_layout(
    cell: genotypes.Cell, num_input_states: int, filters: int, is_reduction: bool, halvings: Sequence[int], channels: Sequence[int]
) -> Layout:
    """Returns the layers of a cell by the rules that Cell documents.

    Args:
      cell: the cell.
      num_input_states: number of input states of the genotype's cells.
      filters: channels of each operation's result.
      is_reduction: True if operations on input states have stride 2.
      halvings: for each given input state, how many times it must be halved to get the size of state 0.
      channels: channels of each given input state. The first state, unchanged, stands in for those that are missing.
    """

    def fit(name: str, channels: int, halvings: int, activation: bool, always: bool = False) -> list[Site]:
        if halvings:
            kind = Kind("reduction", activation)
            return [Site(f"{name}_{step}" if step else name, kind, filters if step else channels) for step in range(halvings)]
        return [Site(name, Kind("fit", activation), channels)] if always or channels != filters else []

    read = {side.input for block in cell.blocks for side in (block.left, block.right)}
    read |= {state for output in cell.outputs for state in output.states}
    fits = [
        fit(f"input_{index}", width, halved, activation=True, always=index < len(cell.outputs)) if index in read else []
        for index, (width, halved) in enumerate(zip(channels, halvings, strict=True))
    ]
    widths = [filters] * len(channels) + [channels[0]] * (num_input_states - len(channels))
    branches, norms = [], []
    for index, block in enumerate(cell.blocks):
        pair = []
        for side, branch in (("left", block.left), ("right", block.right)):
            stride = 2 if is_reduction and branch.input < num_input_states else 1
            pair.append(Site(f"block_{index}_{side}", Kind("operation", branch.operation, stride), widths[branch.input]))
        branches.append(tuple(pair))
        rule = COMBINES[block.combine]
        widths.append(filters * rule.width)
        over = rule.norm
        norms.append(Site(f"block_{index}_norm", Kind("norm", over), filters) if over else None)
    # An input state that is also an output must be brought to the cell's output size and filters (slim: _combine_unused_states).
    output_fits = {}
    for output in cell.outputs:
        for state in output.states:
            if state < num_input_states and state not in output_fits:
                output_fits[state] = fit(f"output_{state}", widths[state], int(is_reduction), activation=False)
                widths[state] = filters
    return Layout(fits, branches, norms, output_fits, [sum(widths[state] for state in output.states) for output in cell.outputs])
