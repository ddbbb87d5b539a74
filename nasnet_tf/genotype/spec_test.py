"""Checks that genotypes are read and validated."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import (
    Combine,
    Operation,
    canonical,
    combines,
    format_genotype,
    genotype_hash,
    load_genotype,
    parse_genotype,
    published_genotypes,
)
from nasnet_tf.testing import TINY_TEXT, drawn_genotypes, tiny_genotype

properties = settings(derandomize=True, deadline=None, max_examples=60)
randoms = st.randoms(use_true_random=False)


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


def test_the_published_genotypes_are_those_of_the_paper():
    assert published_genotypes() == ["nasnet_a", "nasnet_b", "nasnet_c"]


@properties
@given(drawn_genotypes(), st.text())
def test_parsing_inverts_formatting(genotype, name):
    genotype.name = name
    assert parse_genotype(format_genotype(genotype)) == genotype


@pytest.mark.parametrize("name", ["nasnet_a", "nasnet_b", "nasnet_c"])
def test_a_genotype_survives_its_file(name, tmp_path):
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
        ("states: [2] }", "states: [2] } outputs { states: [0] }", "the same number of outputs, got 1 and 2"),
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


def test_genotypes_need_neither_tensorflow_nor_gin():
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["gin"] = None
import nasnet_tf.genotype
print(nasnet_tf.genotype.genotype_hash(nasnet_tf.genotype.load_genotype("nasnet_b")))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == genotype_hash(load_genotype("nasnet_b")), result.stderr


def test_every_combine_has_a_rule():
    assert set(combines.COMBINES) == set(Combine.values()) - {Combine.COMBINE_UNSPECIFIED}
