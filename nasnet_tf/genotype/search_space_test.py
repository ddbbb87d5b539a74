"""Checks the search space: decisions to genotypes and back."""

import math
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Combine, Operation, SearchSpace, load_genotype, validate
from nasnet_tf.testing import ALL_COMBINES, SPACES

SPACE_A, SPACE_B, SPACE_C = (SPACES[name] for name in "abc")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.sampled_from((SPACE_A, SPACE_B, SPACE_C)), st.randoms(use_true_random=False))
def test_decisions_round_trip_through_valid_genotypes(space, rng):
    decisions = space.sample(rng)
    genotype = space.decode(decisions, name="child")
    validate(genotype)
    assert genotype.name == "child"
    assert space.encode(genotype) == decisions


def test_spaces_have_the_sizes_of_the_paper():
    half = (2, 2, 13, 13, 2, 3, 3, 13, 13, 2, 4, 4, 13, 13, 2, 5, 5, 13, 13, 2, 6, 6, 13, 13, 2)
    assert SPACE_A.sizes == half + half
    assert math.log10(math.prod(SPACE_A.sizes)) == pytest.approx(2 * math.log10(720**2 * 13**10 * 2**5))
    assert SPACE_B.sizes[:10] == (4, 4, 13, 13, 4, 5, 5, 13, 13, 4)
    assert len(SPACE_B.sizes) == len(SPACE_C.sizes) == 40


def test_decisions_are_inputs_operations_and_combine_in_this_order():
    space = SearchSpace(num_blocks=2, operations=("MAX_POOL_3X3", "IDENTITY", "CONV_1X1"), combines=("CONCAT", "ADD"))
    genotype = space.decode((1, 0, 2, 0, 1, 0, 1, 0, 1, 0) + (0, 0, 1, 1, 0, 2, 1, 1, 0, 1))
    tables = [
        [
            (b.left.input, Operation.Name(b.left.operation), b.right.input, Operation.Name(b.right.operation), Combine.Name(b.combine))
            for b in cell.blocks
        ]
        for cell in (genotype.normal_cell, genotype.reduction_cell)
    ]
    assert tables == [
        [(1, "CONV_1X1", 0, "MAX_POOL_3X3", "ADD"), (0, "MAX_POOL_3X3", 1, "IDENTITY", "CONCAT")],
        [(0, "IDENTITY", 0, "IDENTITY", "CONCAT"), (2, "IDENTITY", 1, "MAX_POOL_3X3", "ADD")],
    ]
    assert [list(output.states) for output in genotype.normal_cell.outputs] == [[2, 3]]  # no block reads another one
    assert [list(output.states) for output in genotype.reduction_cell.outputs] == [[3]]


def test_published_b_and_c_are_in_their_spaces():
    for name, space in (("nasnet_b", SPACE_B), ("nasnet_c", SPACE_C)):
        genotype = load_genotype(name)
        assert space.decode(space.encode(genotype), name) == genotype


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("nasnet_a", SPACE_A, "its outputs do not follow 'concat_unused'"),
        ("nasnet_a", SPACE_C, "expected 2 input states, 4 normal and 4 reduction blocks; got 2, 5 and 5"),
        ("nasnet_b", SPACE_C, "expected 2 input states, .* got 4, 4 and 4"),
        ("nasnet_c", SearchSpace(num_blocks=4), "not in this search space"),
        ("nasnet_c", SearchSpace(num_blocks=4, combines=ALL_COMBINES, operations=("SEP_CONV_3X3",)), "not in this search space"),
        ("nasnet_c", SearchSpace(num_blocks=4, combines=ALL_COMBINES, outputs="each_block"), "its outputs do not follow 'each_block'"),
    ],
)
def test_genotypes_of_other_spaces_are_refused(name, space, message):
    with pytest.raises(InputError, match=f"genotype '{name}' is not in this search space: .*{message}|{message}"):
        space.encode(load_genotype(name))


def test_samples_are_uniform_and_follow_the_generator():
    rng = random.Random(3)
    samples = [SPACE_A.sample(rng) for _ in range(2000)]
    for column, size in zip(zip(*samples, strict=True), SPACE_A.sizes, strict=True):
        assert set(column) == set(range(size))
        assert sum(column) / 2000 == pytest.approx((size - 1) / 2, abs=5 * size / math.sqrt(12 * 2000))
    assert SPACE_A.sample(random.Random(3)) == samples[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:-1], "expected 50 decisions, got 49"),
        (lambda d: (2, *d[1:]), "decision 0: expected an integer in 0..1, got 2"),
        (lambda d: (*d[:-1], -1), "decision 49: expected an integer in 0..1, got -1"),
        (lambda d: (*d[:2], 1.5, *d[3:]), "decision 2: expected an integer in 0..12, got 1.5"),
        (lambda d: (*d[:2], "IDENTITY", *d[3:]), "decision 2: expected an integer in 0..12, got 'IDENTITY'"),
    ],
)
def test_impossible_decisions_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        SPACE_A.decode(change((0,) * 50))


@pytest.mark.parametrize("cell", ["normal", "reduction"])
def test_one_cell_is_fixed_and_the_other_one_is_searched(cell):
    nasnet_a = load_genotype("nasnet_a")
    space = pickle.loads(pickle.dumps(SearchSpace(**{f"fixed_{cell}": "nasnet_a"})))
    assert space.sizes == SPACE_A.sizes[:25]
    decisions = space.sample(random.Random(1))
    genotype = space.decode(decisions)
    assert getattr(genotype, f"{cell}_cell") == getattr(nasnet_a, f"{cell}_cell")  # with the released outputs
    half = 25 if cell == "normal" else 0
    whole = [0] * 50
    whole[half : half + 25] = decisions
    (other,) = {"normal", "reduction"} - {cell}
    assert getattr(genotype, f"{other}_cell") == getattr(SPACE_A.decode(whole), f"{other}_cell")
    assert space.encode(genotype) == decisions
    with pytest.raises(InputError, match=f"its {cell}_cell is not the fixed one"):
        space.encode(SPACE_A.decode(whole))
    assert space.nearest(SPACE_A.decode(whole)) == decisions
    assert "outputs" in space.description()[f"fixed {cell}_cell"]


def test_a_fixed_cell_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="at most one of fixed_normal and fixed_reduction, got both"):
        SearchSpace(fixed_normal="nasnet_a", fixed_reduction="nasnet_a")
    with pytest.raises(InputError, match="fixed_normal: expected a cell of 2 input states and 1 outputs, got 4 and 4 in nasnet_b"):
        SearchSpace(fixed_normal="nasnet_b")
    with pytest.raises(InputError, match="no such file"):
        SearchSpace(fixed_reduction="nothing.textproto")


def test_the_nearest_architecture_keeps_blocks_and_follows_the_rule_for_outputs():
    nasnet_a = load_genotype("nasnet_a")
    near = SPACE_A.decode(SPACE_A.nearest(nasnet_a))
    assert near.normal_cell.blocks == nasnet_a.normal_cell.blocks
    assert list(near.normal_cell.outputs[0].states) == [2, 3, 4, 5, 6]
    assert SPACE_A.description().keys() == {"num_blocks", "num_input_states", "operations", "combines", "outputs"}
