"""Tests of reading, checking and comparing genotypes."""

import itertools
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import (
    Cell,
    Combine,
    Genotype,
    Operation,
    SearchSpace,
    canonical,
    combines,
    format_genotype,
    genotype_hash,
    genotype_hashes,
    load_genotype,
    parse_genotype,
    published_genotypes,
)
from nasnet_tf.testing import TINY_TEXT, tiny_genotype

COMBINES = ("ADD", "CONCAT", "LAYER_NORM_ADD", "INSTANCE_NORM_ADD")
SPACES = {
    "a": SearchSpace(),
    "b": SearchSpace(num_blocks=4, num_input_states=4, combines=COMBINES, outputs="each_block"),
    "c": SearchSpace(num_blocks=4, combines=COMBINES),
    "twins": SearchSpace(num_blocks=6, num_input_states=1, operations=("IDENTITY",)),  # full of blocks that are alike
}

properties = settings(derandomize=True, deadline=None, max_examples=60)
randoms = st.randoms(use_true_random=False)


@st.composite
def genotypes(draw, spaces=tuple(SPACES)):
    space = SPACES[draw(st.sampled_from(spaces))]
    return space.decode(draw(st.tuples(*(st.integers(0, size - 1) for size in space.sizes))))


def _cells(genotype):
    return genotype.normal_cell, genotype.reduction_cell


def _written_otherwise(genotype, rng):
    """The same architecture with blocks in another order, sides swapped and output states listed in another order."""
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
                left, right = type(block.left)(), type(block.right)()
                left.CopyFrom(block.left)
                right.CopyFrom(block.right)
                block.left.CopyFrom(right)
                block.right.CopyFrom(left)
            for branch in (block.left, block.right):
                branch.input = number[branch.input]
            number[state] = genotype.num_input_states + len(new.blocks) - 1
        for output in old.outputs:
            states = [number[state] for state in output.states]
            rng.shuffle(states)
            new.outputs.add(states=states)
    return result


def _cell(num_inputs, blocks, outputs=None):
    """A genotype with a cell of (left input, left operation, right input, right operation, combine); unread blocks are the output."""
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
    """Blocks that add the identities of two states each."""
    return [(left, "IDENTITY", right, "IDENTITY", "ADD") for left, right in pairs]


# Reading and writing.


def _table(cell):
    short = Operation.Name
    return [(short(b.left.operation), b.left.input, short(b.right.operation), b.right.input, Combine.Name(b.combine)) for b in cell.blocks]


def _outputs(cell):
    return [list(output.states) for output in cell.outputs]


def test_nasnet_a_is_the_released_one():
    genotype = load_genotype("nasnet_a")
    assert (genotype.name, genotype.num_input_states) == ("nasnet_a", 2)
    assert _table(genotype.normal_cell) == [
        ("SEP_CONV_5X5", 0, "SEP_CONV_3X3", 1, "ADD"),
        ("SEP_CONV_5X5", 1, "SEP_CONV_3X3", 1, "ADD"),
        ("AVG_POOL_3X3", 0, "IDENTITY", 1, "ADD"),
        ("AVG_POOL_3X3", 1, "AVG_POOL_3X3", 1, "ADD"),
        ("SEP_CONV_3X3", 0, "IDENTITY", 0, "ADD"),
    ]
    assert _outputs(genotype.normal_cell) == [[1, 2, 3, 4, 5, 6]]
    assert _table(genotype.reduction_cell) == [
        ("SEP_CONV_5X5", 0, "SEP_CONV_7X7", 1, "ADD"),
        ("MAX_POOL_3X3", 0, "SEP_CONV_7X7", 1, "ADD"),
        ("AVG_POOL_3X3", 0, "SEP_CONV_5X5", 1, "ADD"),
        ("IDENTITY", 3, "AVG_POOL_3X3", 2, "ADD"),
        ("SEP_CONV_3X3", 2, "MAX_POOL_3X3", 0, "ADD"),
    ]
    assert _outputs(genotype.reduction_cell) == [[3, 4, 5, 6]]


def test_nasnet_b_is_figure_8():
    genotype = load_genotype("nasnet_b")
    assert (genotype.name, genotype.num_input_states) == ("nasnet_b", 4)
    assert _table(genotype.normal_cell) == [
        ("SEP_CONV_5X5", 1, "IDENTITY", 2, "LAYER_NORM_ADD"),
        ("SEP_CONV_5X5", 0, "SEP_CONV_3X3", 3, "LAYER_NORM_ADD"),
        ("SEP_CONV_3X3", 1, "IDENTITY", 3, "LAYER_NORM_ADD"),
        ("IDENTITY", 0, "SEP_CONV_3X3", 1, "LAYER_NORM_ADD"),
    ]
    assert _table(genotype.reduction_cell) == [
        ("SEP_CONV_3X3", 0, "SEP_CONV_3X3", 1, "LAYER_NORM_ADD"),
        ("SEP_CONV_3X3", 1, "IDENTITY", 3, "LAYER_NORM_ADD"),
        ("IDENTITY", 2, "AVG_POOL_3X3", 3, "ADD"),
        ("AVG_POOL_3X3", 0, "CONV_1X3_3X1", 4, "ADD"),
    ]
    assert _outputs(genotype.normal_cell) == _outputs(genotype.reduction_cell) == [[4], [5], [6], [7]]


def test_nasnet_c_is_figure_9():
    genotype = load_genotype("nasnet_c")
    assert (genotype.name, genotype.num_input_states) == ("nasnet_c", 2)
    assert _table(genotype.normal_cell) == [
        ("SEP_CONV_3X3", 0, "SEP_CONV_5X5", 0, "ADD"),
        ("SEP_CONV_3X3", 0, "SEP_CONV_3X3", 1, "INSTANCE_NORM_ADD"),
        ("SEP_CONV_3X3", 0, "SEP_CONV_3X3", 1, "CONCAT"),
        ("SEP_CONV_3X3", 1, "CONV_1X3_3X1", 1, "LAYER_NORM_ADD"),
    ]
    assert _table(genotype.reduction_cell) == [
        ("MAX_POOL_3X3", 0, "MAX_POOL_3X3", 0, "CONCAT"),
        ("CONV_1X7_7X1", 0, "MAX_POOL_3X3", 1, "LAYER_NORM_ADD"),
        ("MAX_POOL_3X3", 0, "MAX_POOL_3X3", 1, "INSTANCE_NORM_ADD"),
        ("SEP_CONV_7X7", 1, "MAX_POOL_5X5", 1, "LAYER_NORM_ADD"),
    ]
    assert _outputs(genotype.normal_cell) == _outputs(genotype.reduction_cell) == [[2, 3, 4, 5]]


def test_published_names():
    assert published_genotypes() == ["nasnet_a", "nasnet_b", "nasnet_c"]


@properties
@given(genotypes(), st.text())
def test_text_round_trip(genotype, name):
    genotype.name = name
    assert parse_genotype(format_genotype(genotype)) == genotype


@pytest.mark.parametrize("name", ["nasnet_a", "nasnet_b", "nasnet_c"])
def test_file_round_trip(name, tmp_path):
    genotype = load_genotype(name)
    path = tmp_path / "copy.textproto"
    path.write_text(format_genotype(genotype))
    assert load_genotype(str(path)) == genotype


@pytest.mark.parametrize("missing", ["nasnet_d", "no/such/file.textproto", ".", "x" * 5000, "\0"])
def test_missing_files_are_refused(missing):
    there = "is a folder" if missing == "." else "no such file"
    expected = f"{there}; expected the path of a textproto, or one of the published names nasnet_a, nasnet_b, nasnet_c"
    with pytest.raises(InputError, match=expected):
        load_genotype(missing)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\xff", b"\x00\x01\x02", b"num_input_states"])
def test_files_that_are_no_textproto_are_refused(content, tmp_path):
    path = tmp_path / "broken.textproto"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken.textproto: not a (text file|genotype textproto)"):
        load_genotype(str(path))


def test_every_truncation_is_refused():
    text = TINY_TEXT.strip()
    for length in range(len(text)):
        with pytest.raises(InputError, match="^cut: "):
            parse_genotype(text[:length], source="cut")


@properties
@given(randoms)
def test_damaged_text_gives_a_valid_genotype_or_one_clear_error(rng):
    characters = list(TINY_TEXT)
    for _ in range(3):
        characters[rng.randrange(len(characters))] = rng.choice('0129-{}[]:"\\ AX\n')
    message = "genotype: "
    try:
        genotype = parse_genotype("".join(characters))
    except InputError as error:
        message = str(error)
    else:
        assert parse_genotype(format_genotype(genotype)) == genotype
    assert message.startswith("genotype: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_input_states: 2", "", "num_input_states: expected 1..100 .*, got 0"),
        ("num_input_states: 2", "num_input_states: 2147483647", "num_input_states: expected 1..100 .*, got 2147483647"),
        ("input: 0 operation: SEP", "input: 2 operation: SEP", "normal cell, block 0: left input 2 does not exist; states 0..1 are"),
        ("input: 1 operation: CONV_1X1", "input: 9 operation: CONV_1X1", "normal cell, block 1: right input 9 does not .* 0..2 are"),
        ("input: 0 operation: AVG", "input: -1 operation: AVG", "reduction cell, block 0: left input -1 does not exist"),
        ("left { input: 2 operation: MAX_POOL_3X3 }", "", "normal cell, block 1: left is missing"),
        ("right { input: 1 operation: CONV_3X3 }", "", "reduction cell, block 0: right is missing"),
        ("input: 2 operation: MAX", "operation: MAX", "normal cell, block 1: left has no input; states 0..2 are available"),
        ("operation: MAX_POOL_3X3", "", "normal cell, block 1: left operation is missing; expected one of IDENTITY, CONV_1X3_3X1"),
        ("operation: CONV_3X3", "operation: 99", r"reduction cell, block 0: right operation is unknown \(99\)"),
        ("operation: CONV_1X1 } combine: ADD", "operation: CONV_1X1 }", "normal cell, block 1: combine is missing; expected one of ADD"),
        ("outputs { states: [3] }", "", "normal cell: has no outputs"),
        ("outputs { states: [2] }", "outputs { }", "reduction cell, output 0: lists no states"),
        ("states: [3]", "states: [4]", "normal cell, output 0: state 4 does not exist; states 0..3 are available"),
        ("states: [3]", "states: [3, -1]", "normal cell, output 0: state -1 does not exist"),
        ("states: [3]", "states: [3, 1, 3]", "normal cell, output 0: lists a state twice"),
        ("input: 2 operation: MAX", "input: 0 operation: MAX", "normal cell, block 0: its state 2 is read by no later block and no output"),
        ("states: [2]", "states: [0]", "reduction cell, block 0: its state 2 is read by no"),
        ("states: [2] }", "states: [2] } outputs { states: [0] }", "equally many outputs, got 1 and 2"),
        ("SEP_CONV_3X3", "SEP_CONV_9X9", "not a genotype textproto, line 5:.*SEP_CONV_9X9"),
        ("combine: ADD", "combin: ADD", "not a genotype textproto, line 5:.*combin"),
    ],
)
def test_every_mistake_is_named(old, new, message):
    assert old in TINY_TEXT
    with pytest.raises(InputError, match=f"^my.textproto: .*{message}"):
        parse_genotype(TINY_TEXT.replace(old, new, 1), source="my.textproto")


def test_a_cell_without_blocks_is_refused():
    genotype = tiny_genotype()
    del genotype.reduction_cell.blocks[:]
    with pytest.raises(InputError, match="^reduction cell: has no blocks"):
        canonical(genotype)


# Canonical form and hash.


def test_hash_is_pinned():
    """Hashes are kept in files: they may never change."""
    assert genotype_hash(load_genotype("nasnet_a")) == "7fbc3ff31491a378"


@properties
@given(genotypes(), randoms)
def test_hash_does_not_depend_on_how_an_architecture_is_written(genotype, rng):
    other = _written_otherwise(genotype, rng)
    assert canonical(other) == canonical(genotype)
    assert genotype_hash(other) == genotype_hash(genotype)


@properties
@given(genotypes())
def test_canonical_form_is_its_own(genotype):
    form = canonical(genotype)
    assert canonical(form) == form
    assert form.name == ""


@properties
@given(genotypes(("a", "b", "c")), randoms)
def test_changing_one_operation_changes_the_hash(genotype, rng):
    """Equal architectures have equally many blocks of every operation, so no coincidence can hide the change."""
    other = Genotype()
    other.CopyFrom(genotype)
    block = rng.choice(rng.choice(_cells(other)).blocks)
    side = rng.choice((block.left, block.right))
    side.operation = rng.choice([number for number in Operation.values() if number not in (0, side.operation)])
    assert genotype_hash(other) != genotype_hash(genotype)


@properties
@given(genotypes(("a", "c")), randoms)
def test_swapping_the_sides_of_a_concat_changes_the_first_hash_alone(genotype, rng):
    """Version 1 told apart what differs in the order of weights: two different operations make the swap visible."""
    block = rng.choice(rng.choice(_cells(genotype)).blocks)
    block.combine = Combine.CONCAT
    block.left.operation, block.right.operation = rng.sample(Operation.values()[1:], 2)
    before = genotype_hash(genotype), genotype_hash(genotype, 1)
    left, right = (block.left.input, block.left.operation), (block.right.input, block.right.operation)
    (block.left.input, block.left.operation), (block.right.input, block.right.operation) = right, left
    assert genotype_hash(genotype) == before[0]
    assert genotype_hash(genotype, 1) != before[1]


@properties
@given(genotypes(("a",)))
def test_without_concat_all_versions_are_equal(genotype):
    for cell in _cells(genotype):
        for block in cell.blocks:
            block.combine = Combine.ADD
    assert len(set(genotype_hashes(genotype))) == 1


@pytest.mark.parametrize("combine", COMBINES)
def test_sides_matter_in_no_combine(combine):
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


def test_inputs_and_cells_are_no_interchangeable_parts():
    one, other = (_cell(2, _sums((state, state))) for state in (0, 1))
    assert genotype_hash(one) != genotype_hash(other)
    genotype = load_genotype("nasnet_a")
    swapped = Genotype(num_input_states=2, normal_cell=genotype.reduction_cell, reduction_cell=genotype.normal_cell)
    assert genotype_hash(swapped) != genotype_hash(genotype)


def _smallest_of_all_orders(cell, num_inputs):
    """The canonical form by brute force: the smallest tuple of all numberings of the blocks."""
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
def test_cells_are_told_apart_as_by_brute_force(outputs, num_blocks, num_input_states, combines, num_samples):
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
def test_many_blocks_that_are_alike_are_quick(blocks):
    genotype = _cell(2, blocks)
    rng = random.Random(1)
    assert {genotype_hash(_written_otherwise(genotype, rng)) for _ in range(5)} == {genotype_hash(genotype)}


def test_what_neighbours_alone_cannot_tell_apart_differs():
    """In both cells every block reads two of a kind and is read by two of a kind."""
    assert genotype_hash(_cell(2, ALIKE["hexagon"])) != genotype_hash(_cell(2, ALIKE["two triangles"]))


def test_genotypes_need_neither_tensorflow_nor_gin():
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["gin"] = None
import nasnet_tf.genotype
print(nasnet_tf.genotype.genotype_hash(nasnet_tf.genotype.load_genotype("nasnet_b")))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == genotype_hash(load_genotype("nasnet_b")), result.stderr


def test_every_combine_has_its_rule():
    assert set(combines.COMBINES) == set(Combine.values()) - {Combine.COMBINE_UNSPECIFIED}
