"""Checks which genotypes count as equal architectures."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasnet_tf.genotype import Cell, Combine, Genotype, Operation, SearchSpace, canonical, genotype_hash, genotype_hashes, load_genotype
from nasnet_tf.testing import ALL_COMBINES, drawn_genotypes, swap_sides, tiny_genotype

properties = settings(derandomize=True, deadline=None, max_examples=60)
randoms = st.randoms(use_true_random=False)


def _cells(genotype):
    return genotype.normal_cell, genotype.reduction_cell


def _reordered(genotype, rng):
    """Returns another genotype of the architecture: its blocks, sides and output states are in a random order."""
    result = Genotype(name="another name", num_input_states=genotype.num_input_states)
    for old, new in zip(_cells(genotype), _cells(result), strict=True):
        number = {state: state for state in range(genotype.num_input_states)}
        waiting = dict(enumerate(old.blocks, genotype.num_input_states))
        while waiting:
            ready = [state for state, block in waiting.items() if block.left.input in number and block.right.input in number]
            state = rng.choice(ready)
            block = new.blocks.add()
            block.CopyFrom(waiting.pop(state))
            if rng.random() < 0.5:
                swap_sides(block)
            for branch in (block.left, block.right):
                branch.input = number[branch.input]
            number[state] = genotype.num_input_states + len(new.blocks) - 1
        for output in old.outputs:
            states = [number[state] for state in output.states]
            rng.shuffle(states)
            new.outputs.add(states=states)
    return result


def _cell(num_inputs, blocks, outputs=None):
    """Returns a genotype with a given normal cell.

    Args:
      num_inputs: number of input states.
      blocks: (left input, left operation, right input, right operation, combine) of each.
      outputs: states; None for the blocks that no block reads.
    """
    cell = Cell()
    read = set()
    for left, left_operation, right, right_operation, combine in blocks:
        block = cell.blocks.add(combine=Combine.Value(combine))
        block.left.input, block.left.operation = left, Operation.Value(left_operation)
        block.right.input, block.right.operation = right, Operation.Value(right_operation)
        read |= {left, right}
    states = range(num_inputs, num_inputs + len(blocks))
    cell.outputs.add(states=outputs or [state for state in states if state not in read])
    return Genotype(num_input_states=num_inputs, normal_cell=cell, reduction_cell=tiny_genotype().reduction_cell)


def _sums(*pairs):
    """Returns blocks that each add the identities of two states."""
    return [(left, "IDENTITY", right, "IDENTITY", "ADD") for left, right in pairs]


def test_hash_is_pinned():
    """Hashes are stored in files, so they may never change."""
    assert genotype_hash(load_genotype("nasnet_a")) == "7fbc3ff31491a378"


@properties
@given(drawn_genotypes(), randoms)
def test_hash_does_not_depend_on_how_an_architecture_is_written(genotype, rng):
    other = _reordered(genotype, rng)
    assert canonical(other) == canonical(genotype)
    assert genotype_hash(other) == genotype_hash(genotype)


@properties
@given(drawn_genotypes())
def test_the_canonical_form_of_a_canonical_form_is_itself(genotype):
    form = canonical(genotype)
    assert canonical(form) == form
    assert form.name == ""


@properties
@given(drawn_genotypes(("a", "b", "c")), randoms)
def test_changing_one_operation_changes_the_hash(genotype, rng):
    """Equal architectures have equal counts of every operation, so the changed one must be a different one."""
    other = Genotype()
    other.CopyFrom(genotype)
    block = rng.choice(rng.choice(_cells(other)).blocks)
    side = rng.choice((block.left, block.right))
    side.operation = rng.choice([number for number in Operation.values() if number not in (0, side.operation)])
    assert genotype_hash(other) != genotype_hash(genotype)


@properties
@given(drawn_genotypes(("a",)))
def test_without_concat_all_versions_are_equal(genotype):
    for cell in _cells(genotype):
        for block in cell.blocks:
            block.combine = Combine.ADD
    assert len(set(genotype_hashes(genotype))) == 1


@pytest.mark.parametrize("combine", ALL_COMBINES)
def test_no_combine_depends_on_the_order_of_its_sides(combine):
    one = _cell(2, [(0, "IDENTITY", 1, "IDENTITY", combine)])
    other = _cell(2, [(1, "IDENTITY", 0, "IDENTITY", combine)])
    assert genotype_hash(one) == genotype_hash(other)
    assert (genotype_hash(one, 1) == genotype_hash(other, 1)) is (combine != "CONCAT")


def test_a_shared_block_is_not_two_equal_blocks():
    block = (0, "SEP_CONV_3X3", 1, "IDENTITY", "ADD")
    shared = _cell(2, [block, block, (2, "SEP_CONV_3X3", 2, "SEP_CONV_3X3", "ADD")], outputs=[3, 4])
    apart = _cell(2, [block, block, (2, "SEP_CONV_3X3", 3, "SEP_CONV_3X3", "ADD")], outputs=[3, 4])
    assert genotype_hash(shared) != genotype_hash(apart)


def test_the_order_of_outputs_matters():
    genotype = load_genotype("nasnet_b")
    before = genotype_hash(genotype)
    outputs = genotype.normal_cell.outputs
    outputs[0].states[0], outputs[1].states[0] = outputs[1].states[0], outputs[0].states[0]
    assert genotype_hash(genotype) != before


def test_inputs_and_cells_are_not_interchangeable():
    one, other = (_cell(2, _sums((state, state))) for state in (0, 1))
    assert genotype_hash(one) != genotype_hash(other)
    genotype = load_genotype("nasnet_a")
    swapped = Genotype(num_input_states=2, normal_cell=genotype.reduction_cell, reduction_cell=genotype.normal_cell)
    assert genotype_hash(swapped) != genotype_hash(genotype)


def _smallest_of_all_orders(cell, num_inputs):
    """Returns the canonical form by brute force: the smallest description over all orders of the blocks."""
    forms = []
    for order in itertools.permutations(range(len(cell.blocks))):
        new = [*range(num_inputs), *(num_inputs + place for place in order)]
        blocks = [None] * len(order)
        for block, place in zip(cell.blocks, order, strict=True):
            sides = [(new[branch.input], branch.operation) for branch in (block.left, block.right)]
            blocks[place] = (block.combine, *sorted(sides))
        forms.append((blocks, [sorted(new[state] for state in output.states) for output in cell.outputs]))
    return min(forms)


@pytest.mark.parametrize("outputs", ["concat_unused", "each_block"])
@pytest.mark.parametrize(
    ("num_blocks", "num_input_states", "combines", "num_samples"),
    [(3, 1, ("ADD", "CONCAT"), 400), (3, 2, ("ADD",), 400), (4, 1, ("ADD",), 200), (5, 1, ("ADD",), 100), (5, 1, ("CONCAT", "ADD"), 50)],
)
def test_hashes_distinguish_cells_like_brute_force(outputs, num_blocks, num_input_states, combines, num_samples):
    space = SearchSpace(num_blocks, num_input_states, ("IDENTITY",), combines, outputs)
    rng = random.Random(0)
    pairs = set()
    for _ in range(num_samples):
        genotype = space.decode(space.sample(rng))
        for cell in _cells(genotype):
            whole = Genotype(num_input_states=num_input_states, normal_cell=cell, reduction_cell=cell)
            pairs.add((genotype_hash(whole), repr(_smallest_of_all_orders(cell, num_input_states))))
    hashes, forms = (set(column) for column in zip(*pairs, strict=True))
    assert len(hashes) == len(forms) == len(pairs) > 5


ALIKE = {
    "ten equal blocks": _sums(*[(0, 1)] * 10),
    "ten equal blocks in a cycle": _sums(*[(0, 1)] * 5, *[(2 + i, 2 + (i + 1) % 5) for i in range(5)]),
    "five equal chains": _sums(*[(0, 1)] * 5, *[(2 + i, 0) for i in range(5)]),
    "hexagon": _sums(*[(0, 1)] * 6, *[(2 + i, 2 + (i + 1) % 6) for i in range(6)]),
    "triangle beside square": _sums(*[(0, 1)] * 7, (2, 3), (3, 4), (4, 2), (5, 6), (6, 7), (7, 8), (8, 5)),
    "two triangles": _sums(*[(0, 1)] * 6, (2, 3), (3, 4), (4, 2), (5, 6), (6, 7), (7, 5)),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("blocks", ALIKE.values(), ids=ALIKE.keys())
def test_many_similar_blocks_are_hashed_quickly(blocks):
    genotype = _cell(2, blocks)
    rng = random.Random(1)
    assert {genotype_hash(_reordered(genotype, rng)) for _ in range(5)} == {genotype_hash(genotype)}


def test_cells_with_equal_neighborhoods_differ():
    """In both cells, every block reads two blocks of one kind and is read by two of one kind."""
    assert genotype_hash(_cell(2, ALIKE["hexagon"])) != genotype_hash(_cell(2, ALIKE["two triangles"]))
