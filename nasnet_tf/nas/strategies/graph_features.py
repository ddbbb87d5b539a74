"""Computes numeric features of the graphs of cells, for models that predict rewards.

The features describe how information flows through a cell: what each operation reads, how long the paths from each input to the output
are, how often each state is used, and how wide the output is. They do not depend on the order in which a search space lists its decisions.
All functions work on many architectures at a time.
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
      num_inputs: number of input states, which come first; every later state combines the edges that lead to it.
      operations: names of the operations. An operation counts as a convolution if its name contains "conv", in upper or lower case.
      targets: int [edges], the state each edge leads to, ascending; the same for all n cells.
      sources: int [n, edges], the state each edge reads; smaller than its target.
      kinds: int [n, edges], index of the edge's operation; -1 where there is no edge.
      outputs: bool [n, states], whether each state is part of the cell's output.
      combines: names of the ways to combine edges.
      joins: int [n, states - num_inputs], index of each state's combine.
      widths: number of channels that each combine produces, as a multiple of the cell's filters.
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
    """Returns the names of the features of `cell_features`, each with the choice it belongs to.

    The sum of a choice's features is how often a cell makes the choice, for example an operation, or its size, for example a path length.
    The choice is None for a feature that only follows from other choices.
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
    """Computes the features, float [n, features], of n cells. Edges that lead from no input or to no output are ignored."""
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
    # If there is no path, the longest one gets length 0 and the shortest one a length above that of any path.
    unreachable = np.repeat([0.0, num_states - num_inputs + 1.0] * 2, num_inputs)
    paths = np.where(to_end > _NOWHERE / 2, np.abs(to_end), unreachable)
    columns = [operations, paths, uses[:, :num_inputs], (uses[:, num_inputs:] > 1).sum(axis=1), outputs.sum(axis=1)]
    if len(cells.combines) > 1:
        columns.append(_counts(cells.joins, to_output[:, num_inputs:], len(cells.combines)))
        if len(set(cells.widths)) > 1:
            columns.append((np.array(cells.widths)[cells.joins] * outputs[:, num_inputs:]).sum(axis=1))
    return np.column_stack(columns).astype(float)


_NOWHERE = -1e6  # the length of a path that does not exist


def _path_lengths(cells: Cells, present: np.ndarray) -> np.ndarray:
    """Computes path lengths from each input to each state, float [n, states, inputs, 4].

    The four lengths are: longest in edges, shortest in edges, longest in convolutions, shortest in convolutions. The shortest ones are
    negated, so that all four are found as a maximum.
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
    """Counts how often each value in [0, size) occurs in each row of `values`, int [n, size].

    Args:
      values: int [n, places].
      counted: bool [n, places], whether a place is counted.
    """
    rows, places = np.nonzero(counted)
    return np.bincount(rows * size + values[rows, places], minlength=len(values) * size).reshape(len(values), size)


@functools.singledispatch
def cells_of(space: SearchSpace, decisions: Sequence[Sequence[int]]) -> dict[str, Cells]:
    """Returns the searched cells of n architectures, keyed by the name of the cell.

    A search space of another class registers its own implementation with `cells_of.register`.

    Args:
      space: the search space.
      decisions: int [n, decisions].
    """
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
    """Computes the features of architectures of a space.

    Attributes:
      names: name of each feature, as "CELL: FEATURE" if the space has more than one cell.
      choices: the choice that each feature belongs to, or None; see `feature_names`.
    """

    def __init__(self, space: SearchSpace):
        self._space = space
        cells = cells_of(space, [[0] * len(space.sizes)])
        named = [(f"{field}: " if len(cells) > 1 else "", *each) for field in cells for each in feature_names(cells[field])]
        self.names = [prefix + name for prefix, name, _ in named]
        self.choices = [None if choice is None else prefix + choice for prefix, _, choice in named]

    def __call__(self, decisions: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the features, float [n, features], of decisions, int [n, decisions]."""
        return np.concatenate([cell_features(cells) for cells in cells_of(self._space, decisions).values()], axis=1)

    def counts(self, features: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Returns the names of the choices, and how often each architecture makes each choice, float [n, choices].

        Args:
          features: float [n, features].
        """
        names = list(dict.fromkeys(filter(None, self.choices)))
        parts = [[choice == name for choice in self.choices] for name in names]
        return names, np.stack([features[:, part].sum(axis=1) for part in parts], axis=1)
