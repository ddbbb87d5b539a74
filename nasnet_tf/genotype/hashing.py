"""Genotypes in canonical form, and hashes of it.

Two genotypes are one architecture when they differ only in their name, in the numbering of their blocks, in the order in which an output
lists its states, or in the sides of a symmetric combine. `canonical` picks one representative of each such class.

CONCAT is symmetric too: with its sides swapped the channels of the state stand in another order, and whatever reads a state of several
filters' width has a weight for each channel. So the two networks are one, up to the order of its weights. Version 1 of the hash told them
apart; for genotypes without CONCAT both versions are equal.
"""

import hashlib
import itertools

from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.genotype.genotype_pb2 import Block, Cell, Combine, Genotype
from nasnet_tf.genotype.spec import cells_of, validate

HASH_VERSION = 2
_ORDERED = frozenset(number for number, rule in COMBINES.items() if not rule.symmetric)  # combines whose sides are no equals
_ORDERED_IN = {1: _ORDERED | {Combine.CONCAT}, 2: _ORDERED}  # by version of the hash


def canonical(genotype: Genotype, version: int = HASH_VERSION) -> Genotype:
    """The representative of all genotypes of the same architecture; without a name. version: see `genotype_hash`."""
    validate(genotype)
    result = Genotype(num_input_states=genotype.num_input_states)
    for field, cell in cells_of(genotype):
        getattr(result, field).CopyFrom(_canonical_cell(cell, genotype.num_input_states, _ORDERED_IN[version]))
    return result


def genotype_hash(genotype: Genotype, version: int = HASH_VERSION) -> str:
    """16 hexadecimal digits that are equal for equal architectures, on every machine and in every version of protobuf.

    version: of the rules of what is equal, for files and folders whose names have older hashes.
    """
    form = repr([(genotype.num_input_states, _as_tuple(cell)) for _, cell in cells_of(canonical(genotype, version))])
    return hashlib.sha256(form.encode()).hexdigest()[:16]


def genotype_hashes(genotype: Genotype) -> list[str]:
    """Of all versions, the newest first: what files and folders of the architecture may be called."""
    return [genotype_hash(genotype, version) for version in sorted(_ORDERED_IN, reverse=True)]


def _as_tuple(cell: Cell) -> tuple:
    blocks = tuple((b.left.input, b.left.operation, b.right.input, b.right.operation, b.combine) for b in cell.blocks)
    return blocks, tuple(tuple(output.states) for output in cell.outputs)


def _canonical_cell(cell: Cell, num_inputs: int, ordered: frozenset[int]) -> Cell:
    """The same cell for all renumberings of its blocks: they are ranked by what they are, not by where they stand.

    First by height above the inputs, so that ranks respect dependencies, then by refinement: what a block does to which ranks and which
    ranks use it how, until nothing new comes of it. Ties that remain (usually none) are broken in every way that could matter.
    """
    ranks = list(range(num_inputs))
    for block in cell.blocks:
        ranks.append(1 + max(num_inputs - 1, ranks[block.left.input], ranks[block.right.input]))
    return _smallest(cell, _refined(cell, ranks, ordered), ordered)


def _refined(cell: Cell, ranks: list[int], ordered: frozenset[int]) -> list[int]:
    """Ranks of all states (inputs first), refined until neither what blocks of equal rank read nor who reads them tells them apart.

    The new ranks keep the order of the old ones, count up from the inputs without gaps, and do not depend on the numbering of blocks.
    """
    num_inputs = len(ranks) - len(cell.blocks)
    while True:
        uses = [[(-1, index, 0) for index, output in enumerate(cell.outputs) if state in output.states] for state in range(len(ranks))]
        sides = []
        for state, block in enumerate(cell.blocks, num_inputs):
            left, right = ((ranks[branch.input], branch.operation) for branch in (block.left, block.right))
            symmetric = block.combine not in ordered
            sides.append(sorted((left, right)) if symmetric else [left, right])
            uses[block.left.input].append((ranks[state], block.left.operation, 0))
            uses[block.right.input].append((ranks[state], block.right.operation, 0 if symmetric else 1))
        keys = [
            (ranks[state], block.combine, sides[state - num_inputs], sorted(uses[state]))
            for state, block in enumerate(cell.blocks, num_inputs)
        ]
        distinct = [key for key, _ in itertools.groupby(sorted(keys))]
        num_before = len(set(ranks[num_inputs:]))
        ranks = [*range(num_inputs), *(num_inputs + distinct.index(key) for key in keys)]
        if len(distinct) == num_before:
            return ranks


def _smallest(cell: Cell, ranks: list[int], ordered: frozenset[int]) -> Cell:
    """The smallest cell, as a tuple, that breaking ties of refined ranks can lead to.

    Of a group of tied blocks, each is tried as the first, but only one of those that lead to the same cell when all later ties are broken
    in any one way: those can change places without changing the cell. So ten blocks that are all alike cost 0.1 seconds, not 10! orders.
    """
    tied = _first_tied(ranks, len(cell.blocks))
    if not tied:
        return _renumbered(cell, ranks, ordered)
    different = {}
    for state in tied:
        trial = first = _put_first(cell, ranks, state, ordered)
        while later := _first_tied(trial, len(cell.blocks)):
            trial = _put_first(cell, trial, later[0], ordered)
        different.setdefault(_as_tuple(_renumbered(cell, trial, ordered)), first)
    return min((_smallest(cell, first, ordered) for first in different.values()), key=_as_tuple)


def _first_tied(ranks: list[int], num_blocks: int) -> list[int]:
    """The states of the lowest rank that several blocks share; empty if none is shared."""
    groups = {}
    for state in range(len(ranks) - num_blocks, len(ranks)):
        groups.setdefault(ranks[state], []).append(state)
    return min((group for group in groups.values() if len(group) > 1), key=lambda group: ranks[group[0]], default=[])


def _put_first(cell: Cell, ranks: list[int], state: int, ordered: frozenset[int]) -> list[int]:
    """Ranks with one state placed just before the others of its rank, and what follows from it."""
    return _refined(cell, [2 * rank - (other == state) for other, rank in enumerate(ranks)], ordered)


def _renumbered(cell: Cell, new: list[int], ordered: frozenset[int]) -> Cell:
    """The cell with state s numbered new[s], symmetric sides and output states sorted; inputs keep their numbers."""
    num_inputs = len(new) - len(cell.blocks)
    result = Cell()
    for state in sorted(range(num_inputs, len(new)), key=new.__getitem__):
        block = Block()
        block.CopyFrom(cell.blocks[state - num_inputs])
        for branch in (block.left, block.right):
            branch.input = new[branch.input]
        left, right = block.left, block.right
        if block.combine not in ordered and (right.input, right.operation) < (left.input, left.operation):
            block = Block(left=right, right=left, combine=block.combine)
        result.blocks.append(block)
    for output in cell.outputs:
        result.outputs.add(states=sorted(new[state] for state in output.states))
    return result
