"""Tests of regularized evolution: mutations, the queue and learning. Tests of all strategies are in protocol_test.py."""

import collections
import random

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.protocol import Proposal

SPACE = SearchSpace(num_blocks=3)
PARENT = SPACE.sample(random.Random(3))


def _children(space, parent, count, **bindings):
    strategy = RegularizedEvolution(space, seed=0, population=1, tournament=1, **bindings)
    strategy.feedback(Proposal(parent), 0.5)
    return [strategy.propose().decisions for _ in range(count)]


def _changed(parent, child):
    return [place for place, (before, after) in enumerate(zip(parent, child, strict=True)) if before != after]


def test_a_child_differs_in_one_decision_of_every_kind_and_place():
    changes = [_changed(PARENT, child) for child in _children(SPACE, PARENT, 6000)]
    assert {len(places) for places in changes} == {0, 1}
    assert sum(not places for places in changes) == pytest.approx(0.05 * 6000, rel=0.2)
    kinds = collections.Counter(
        ("input", "input", "operation", "operation", "combine")[place % 5] for places in changes for place in places
    )
    for count in kinds.values():
        assert count == pytest.approx(0.95 / 3 * 6000, rel=0.1)
    assert {place for places in changes for place in places} == set(range(30))


def test_mutations_reach_every_other_value_and_stay_in_the_space():
    children = _children(SPACE, PARENT, 6000)
    for place, size in enumerate(SPACE.sizes):
        assert {child[place] for child in children} == set(range(size))


def test_without_a_choice_of_combines_only_states_and_operations_mutate():
    space = SearchSpace(num_blocks=2, num_input_states=1, combines=("ADD",))
    parent = space.sample(random.Random(0))
    changes = [_changed(parent, child) for child in _children(space, parent, 2000, identity_probability=0.0)]
    assert all(len(places) == 1 for places in changes)
    assert {place for (place,) in changes} == {2, 3, 5, 6, 7, 8, 12, 13, 15, 16, 17, 18}  # the first block has only one state to read
    assert sum(place % 5 in (2, 3) for (place,) in changes) == pytest.approx(1000, rel=0.1)


def test_identity_only_and_a_space_of_one_architecture():
    assert set(_children(SPACE, PARENT, 50, identity_probability=1)) == {PARENT}
    space = SearchSpace(num_blocks=1, num_input_states=1, operations=("IDENTITY",), combines=("ADD",))
    assert set(_children(space, (0,) * 10, 5)) == {(0,) * 10}


def test_the_oldest_dies_even_if_it_is_the_best():
    strategy = RegularizedEvolution(SPACE, seed=0, population=3, tournament=3)
    for reward in (0.9, 0.1, 0.2):
        strategy.feedback(strategy.propose(), reward)
    assert strategy.diagnostics() == {"population": 3.0, "best": 0.9, "mean": pytest.approx(0.4)}
    strategy.feedback(strategy.propose(), 0.3)
    assert strategy.diagnostics() == {"population": 3.0, "best": 0.3, "mean": pytest.approx(0.2)}


def test_the_parent_is_the_best_of_a_tournament():
    """The best of 8 architectures is among 8 draws with probability 1 - (7/8)^8 = 0.66."""
    strategy = RegularizedEvolution(SPACE, seed=0, population=8, tournament=8, identity_probability=1.0)
    architectures = [strategy.propose() for _ in range(8)]
    for rank, proposal in enumerate(architectures):
        strategy.feedback(proposal, rank / 10)
    parents = [strategy.propose().decisions for _ in range(1000)]
    assert parents.count(architectures[-1].decisions) == pytest.approx(1000 * (1 - (7 / 8) ** 8), rel=0.1)


def test_proposals_are_random_until_the_population_is_full():
    strategy, random_source = RegularizedEvolution(SPACE, seed=4, population=5, tournament=2), random.Random(4)
    flight = [strategy.propose() for _ in range(12)]
    assert [proposal.decisions for proposal in flight] == [SPACE.sample(random_source) for _ in range(12)]
    for proposal in flight[:5]:
        strategy.feedback(proposal, 0.5)
    child = strategy.propose().decisions
    assert min(len(_changed(proposal.decisions, child)) for proposal in flight[:5]) <= 1


def test_it_learns_with_many_children_running():
    strategy = RegularizedEvolution(SPACE, seed=1, population=30, tournament=8)
    best = SPACE.sample(random.Random(8))

    def reward(proposal):
        return 1 - len(_changed(best, proposal.decisions)) / len(best)

    flight = collections.deque(strategy.propose() for _ in range(60))
    for _ in range(3000):
        proposal = flight.popleft()
        strategy.feedback(proposal, reward(proposal))
        flight.append(strategy.propose())
    assert strategy.diagnostics()["mean"] > 0.75  # a third by chance


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"population": 0}, "population: expected an integer of 1 or more, got 0"),
        ({"tournament": 2.5}, "tournament: expected an integer of 1 or more, got 2.5"),
        ({"population": 10, "tournament": 11}, "tournament: expected at most the population, 10, got 11"),
        ({"identity_probability": 1.5}, r"identity_probability: expected a number in \[0, 1\], got 1.5"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_refused(bindings, message):
    with pytest.raises(InputError, match=message):
        RegularizedEvolution(**{"space": SPACE, "seed": 0, **bindings})
