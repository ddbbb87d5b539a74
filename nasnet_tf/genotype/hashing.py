"""The canonical form of a genotype, and its hash.

Two genotypes are the same architecture if they differ only in their name, in the numbering of their blocks, in the order in which an
output lists its states, or in which side of a symmetric combine comes first. `canonical` maps them all to one genotype.

CONCAT is symmetric too: swapping its sides only reorders the channels of the state, and every layer that reads the state has its own
weight for each channel. So the two networks are equal up to the order of their weights. Version 1 of the hash treated them as different;
for genotypes without CONCAT both versions give the same hash.
"""

import hashlib
import itertools

from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.genotype.genotype_pb2 import Block, Cell, Combine, Genotype
from nasnet_tf.genotype.spec import cells_of, validate

HASH_VERSION = 2
_ORDERED = frozenset(number for number, rule in COMBINES.items() if not rule.symmetric)  # combines whose sides cannot be swapped
_ORDERED_IN = {1: _ORDERED | {Combine.CONCAT}, 2: _ORDERED}  # _ORDERED, by version of the hash


def canonical(genotype: Genotype, version: int = HASH_VERSION) -> Genotype:
    """Returns the canonical genotype of an architecture, without a name; it is the same for all genotypes of the architecture.

    Args:
      genotype: any genotype of the architecture.
      version: version of the hash; see `genotype_hash`.

    Raises:
      InputError: the genotype is invalid.
    """
    validate(genotype)
    result = Genotype(num_input_states=genotype.num_input_states)
    for field, cell in cells_of(genotype):
        getattr(result, field).CopyFrom(_canonical_cell(cell, genotype.num_input_states, _ORDERED_IN[version]))
    return result


def genotype_hash(genotype: Genotype, version: int = HASH_VERSION) -> str:
    """Returns 16 hexadecimal digits that are equal for equal architectures, on every machine and with every version of protobuf.

    Args:
      genotype: the architecture.
      version: which rules decide whether architectures are equal. Version 1 finds files and folders that were named by older hashes.

    Raises:
      InputError: the genotype is invalid.
    """
    form = repr([(genotype.num_input_states, _as_tuple(cell)) for _, cell in cells_of(canonical(genotype, version))])
    return hashlib.sha256(form.encode()).hexdigest()[:16]


def genotype_hashes(genotype: Genotype) -> list[str]:
    """Returns the hashes of all versions, newest first: the names that files and folders of this architecture may have."""
    return [genotype_hash(genotype, version) for version in sorted(_ORDERED_IN, reverse=True)]


def _as_tuple(cell: Cell) -> tuple:
    blocks = tuple((b.left.input, b.left.operation, b.right.input, b.right.operation, b.combine) for b in cell.blocks)
    return blocks, tuple(tuple(output.states) for output in cell.outputs)


def _canonical_cell(cell: Cell, num_inputs: int, ordered: frozenset[int]) -> Cell:
    """Returns a cell that does not depend on how the blocks of the given one are numbered.

    Blocks are ranked by their place in the graph. Their first rank is the longest path from the inputs, so that a block comes after those
    that it reads. The ranks are then refined by what each block does, what it reads and what reads it, until they no longer change. If
    ties remain, which is rare, all ways of breaking them that could lead to different cells are compared.
    """
    ranks = list(range(num_inputs))
    for block in cell.blocks:
        ranks.append(1 + max(num_inputs - 1, ranks[block.left.input], ranks[block.right.input]))
    return _smallest(cell, _refined(cell, ranks, ordered), ordered)


def _refined(cell: Cell, ranks: list[int], ordered: frozenset[int]) -> list[int]:
    """Returns refined ranks of all states, inputs first: blocks of equal rank read the same ranks and are read by the same ranks.

    The new ranks keep the order of the old ones, have no gaps, and do not depend on the numbering of blocks.
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
    """Returns the smallest cell, compared as a tuple, among all ways to break the ties of refined ranks.

    Each block of the first tied group is tried as the first of the group. Blocks that lead to the same cell, when all later ties are broken
    in an arbitrary way, can swap places without changing the cell, so only one of them is followed further. Ten equal blocks then take
    0.1 seconds instead of 10! orders.
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
    """Returns the states with the lowest rank that several blocks share; an empty list if no rank is shared."""
    groups = {}
    for state in range(len(ranks) - num_blocks, len(ranks)):
        groups.setdefault(ranks[state], []).append(state)
    return min((group for group in groups.values() if len(group) > 1), key=lambda group: ranks[group[0]], default=[])


def _put_first(cell: Cell, ranks: list[int], state: int, ordered: frozenset[int]) -> list[int]:
    """Returns refined ranks after one state was moved in front of the others of its rank."""
    return _refined(cell, [2 * rank - (other == state) for other, rank in enumerate(ranks)], ordered)


def _renumbered(cell: Cell, new: list[int], ordered: frozenset[int]) -> Cell:
    """Returns the cell with state s renumbered to new[s], and with the sides of symmetric combines and the states of outputs sorted."""
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
