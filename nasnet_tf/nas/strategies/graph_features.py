"""Numbers that describe the graph of a cell, for models that predict rewards.

Architectures are described by how information flows through their cells, not by the order in which a search space lists its decisions:
what each operation reads, how long the paths from each input to the output are, how often each state is used, and how wide the output is.
Everything works on many architectures at a time.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.genotype.genotype_pb2 import Combine
from nasnet_tf.genotype.search_space import DECISIONS_PER_BLOCK

_INPUT, _BLOCK = "an input", "a block"


@dataclasses.dataclass(frozen=True)
class Cells:
    """The graphs of n cells of one search space.

    Attributes:
      num_inputs: the first states are inputs; every other state joins the edges that lead to it.
      operations: names; those with "conv" in them, in any case, are convolutions.
      targets: int [edges], the state each edge leads to, ascending; the same for all n cells.
      sources: int [n, edges], the state each edge reads; smaller than its target.
      kinds: int [n, edges], index of the edge's operation; -1 where there is no edge.
      outputs: bool [n, states], which states the cell's output is made of.
      combines: names of the ways to join edges.
      joins: int [n, states - num_inputs], index of each state's combine.
      widths: width of the result of each combine, in the cell's filters.
    """

    num_inputs: int
    operations: tuple[str, ...]
    targets: np.ndarray
    sources: np.ndarray
    kinds: np.ndarray
    outputs: np.ndarray
    combines: tuple[str, ...] = ("ADD",)
    joins: np.ndarray | None = None
    widths: tuple[int, ...] = (1,)


def feature_names(cells: Cells) -> list[tuple[str, str | None]]:
    """The names of what `cell_features` returns, each with the choice that it is a part of; None for what follows from choices.

    The features of one choice add up to how often a cell makes it, or how far it takes it.
    """
    names: list[tuple[str, str | None]] = []
    names += [(f"{operation} reading {what}", operation) for operation in cells.operations for what in (_INPUT, _BLOCK)]
    for what in ("edges", "convolutions"):
        for kind in ("longest", "shortest"):
            paths = [f"{kind} path from input {state} in {what}" for state in range(cells.num_inputs)]
            names += [(path, path if (kind, what) == ("longest", "edges") else None) for path in paths]
    names += [(uses, uses) for uses in (f"uses of input {state}" for state in range(cells.num_inputs))]
    names += [("blocks used more than once", None), ("output states", "output states")]
    if len(cells.combines) > 1:
        names += [(f"{combine} blocks", f"{combine} blocks") for combine in cells.combines]
        if len(set(cells.widths)) > 1:
            names.append(("output width", None))
    return names


def cell_features(cells: Cells) -> np.ndarray:
    """Float [n, features], one row for each cell. Edges that lead from no input or to no output count for nothing."""
    num, num_states = cells.outputs.shape
    num_inputs, num_operations = cells.num_inputs, len(cells.operations)
    rows = np.arange(num)
    present = cells.kinds >= 0
    lengths = _path_lengths(cells, present)  # [n, states, inputs, 4]
    from_input = (lengths[..., 0] >= 0).any(axis=2)
    to_output = cells.outputs.copy()
    for edge in range(len(cells.targets) - 1, -1, -1):
        to_output[rows, cells.sources[:, edge]] |= present[:, edge] & to_output[:, cells.targets[edge]]
    outputs = cells.outputs & from_input
    live = present & from_input[rows[:, None], cells.sources] & to_output[:, cells.targets]
    operations = _counts(2 * cells.kinds + (cells.sources >= num_inputs), live, 2 * num_operations)
    uses = _counts(cells.sources, live, num_states)
    to_end = np.where(outputs[:, :, None, None], lengths, _NOWHERE).max(axis=1).transpose(0, 2, 1).reshape(num, -1)
    unreachable = np.repeat([0.0, num_states - num_inputs + 1.0] * 2, num_inputs)  # the latter is longer than any path
    paths = np.where(to_end > _NOWHERE / 2, np.abs(to_end), unreachable)
    columns = [operations, paths, uses[:, :num_inputs], (uses[:, num_inputs:] > 1).sum(axis=1), outputs.sum(axis=1)]
    if len(cells.combines) > 1:
        columns.append(_counts(cells.joins, to_output[:, num_inputs:], len(cells.combines)))
        if len(set(cells.widths)) > 1:
            columns.append((np.array(cells.widths)[cells.joins] * outputs[:, num_inputs:]).sum(axis=1))
    return np.column_stack(columns).astype(float)


_NOWHERE = -1e6  # the length of a path that does not exist


def _path_lengths(cells: Cells, present: np.ndarray) -> np.ndarray:
    """[n, states, inputs, 4]: longest path from each input to each state in edges, shortest in edges, both in convolutions.

    Shortest ones are negative, so that the best of all four is the maximum.
    """
    num, num_states = cells.outputs.shape
    is_convolution = np.array(["conv" in operation.lower() for operation in cells.operations], float)[cells.kinds]
    steps = np.stack([np.ones((num, len(cells.targets))), -np.ones((num, len(cells.targets))), is_convolution, -is_convolution], axis=-1)
    steps = np.where(present[:, :, None], steps, _NOWHERE)[:, :, None, :]
    found = np.full((num, num_states, cells.num_inputs, 4), _NOWHERE)
    for state in range(cells.num_inputs):
        found[:, state, state] = 0.0
    rows = np.arange(num)
    for edge, target in enumerate(cells.targets):
        np.maximum(found[:, target], found[rows, cells.sources[:, edge]] + steps[:, edge], out=found[:, target])
    return found


def _counts(values: np.ndarray, counted: np.ndarray, size: int) -> np.ndarray:
    """Int [n, size]: how often each value stands in each row of an int array [n, places] where `counted` is true."""
    rows, places = np.nonzero(counted)
    return np.bincount(rows * size + values[rows, places], minlength=len(values) * size).reshape(len(values), size)


@functools.singledispatch
def cells_of(space: SearchSpace, decisions: Sequence[Sequence[int]]) -> dict[str, Cells]:
    """Returns the searched cells of a space by name, from decisions, int [n, decisions]. Spaces of another kind register their own."""
    decisions = np.asarray(decisions, int).reshape(len(decisions), len(space.searched), space.num_blocks, DECISIONS_PER_BLOCK)
    num_states = space.num_input_states + space.num_blocks
    targets = np.repeat(np.arange(space.num_input_states, num_states), 2)
    widths = tuple(COMBINES[Combine.Value(name)].width for name in space.combines)
    found = {}
    for place, field in enumerate(space.searched):
        mine = decisions[:, place]
        sources = mine[:, :, :2].reshape(len(mine), -1)
        outputs = np.ones((len(mine), num_states), bool)
        outputs[:, : space.num_input_states] = False
        if space.outputs == "concat_unused":
            np.put_along_axis(outputs, sources, False, axis=1)
        kinds = mine[:, :, 2:4].reshape(len(mine), -1)
        found[field] = Cells(
            space.num_input_states, space.operations, targets, sources, kinds, outputs, space.combines, mine[:, :, 4], widths
        )
    return found


class GraphFeatures:
    """The features of a space, each named "CELL: FEATURE" where there is more than one cell.

    Attributes:
      names: of the features.
      choices: the choice that each feature is a part of, as `feature_names` says, or None.
    """

    def __init__(self, space: SearchSpace):
        self._space = space
        cells = cells_of(space, [[0] * len(space.sizes)])
        named = [(f"{field}: " if len(cells) > 1 else "", *each) for field in cells for each in feature_names(cells[field])]
        self.names = [prefix + name for prefix, name, _ in named]
        self.choices = [None if choice is None else prefix + choice for prefix, _, choice in named]

    def __call__(self, decisions: Sequence[Sequence[int]]) -> np.ndarray:
        """Float [n, features] of decisions, int [n, decisions]."""
        return np.concatenate([cell_features(cells) for cells in cells_of(self._space, decisions).values()], axis=1)

    def counts(self, features: np.ndarray) -> tuple[list[str], np.ndarray]:
        """The choices by name, and how often each architecture makes them, float [n, choices], from its features."""
        names = list(dict.fromkeys(filter(None, self.choices)))
        parts = [[choice == name for choice in self.choices] for name in names]
        return names, np.stack([features[:, part].sum(axis=1) for part in parts], axis=1)
