"""The model-guided strategy finds what is known to be good, and says what it credits."""

import random

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.graph_features import GraphFeatures
from nasnet_tf.nas.strategies.local_search import LocalSearch
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.protocol import Proposal
from nasnet_tf.nas.strategies.random_search import RandomSearch

OPERATIONS = ("IDENTITY", "CONV_1X1", "CONV_3X3", "MAX_POOL_3X3")
SPACE = SearchSpace(num_blocks=3, operations=OPERATIONS)
GOOD = OPERATIONS.index("CONV_3X3")


def good_share(decisions):
    """Fraction of operations that are 3x3 convolutions."""
    operations = [decision for place, decision in enumerate(decisions) if place % 5 in (2, 3)]
    return operations.count(GOOD) / len(operations)


def play(strategy, count, noise=0.0):
    draws, rewards = random.Random(0), []
    for _ in range(count):
        proposal = strategy.propose()
        rewards.append(0.5 + 0.4 * good_share(proposal.decisions) + noise * draws.gauss(0, 1))
        strategy.feedback(proposal, rewards[-1])
    return rewards


@pytest.mark.parametrize("base", [None, lambda space: RegularizedEvolution(space, 0, population=10, tournament=3)])
def test_it_is_ahead_of_random_search(base):
    guided = play(ModelGuided(SPACE, 1, base), 40, noise=0.02)
    assert np.mean(sorted(guided)[-5:]) > np.mean(sorted(play(RandomSearch(SPACE, 1), 40, noise=0.02))[-5:]) + 0.1
    assert np.mean(guided[20:]) > np.mean(guided[:10]) + 0.1


def test_proposals_ahead_of_rewards_are_all_different():
    strategy = ModelGuided(SPACE, 2)
    play(strategy, 15)
    ahead = [strategy.propose().decisions for _ in range(10)]
    assert len({SPACE.identity_of(each) for each in ahead}) == 10
    distances = [sum(a != b for a, b in zip(one, other, strict=True)) for one in ahead for other in ahead if one is not other]
    assert np.mean(distances) > 3  # no near-twins only


def test_what_is_known_is_not_proposed_again():
    space = SearchSpace(num_blocks=1, operations=OPERATIONS, combines=("ADD",))
    strategy = ModelGuided(space, 0)
    seen = [space.identity_of(proposal.decisions) for proposal in _proposals(strategy, 60)]
    assert len(set(seen)) == len(seen)


def _proposals(strategy, count):
    for number in range(count):
        proposal = strategy.propose()
        yield proposal
        strategy.feedback(proposal, 0.5 + number / 1000)


def test_failed_trainings_have_no_leverage():
    rewards = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.1])
    values, scale = gaussian_process.targets(rewards)
    without, _ = gaussian_process.targets(rewards[:-1])
    assert values[-1] >= values[:-1].min() - 3 * np.ptp(values[:-1])
    assert np.ptp(values[:-1]) > 0.3 * np.ptp(without)
    assert scale > 0
    ranks, none = gaussian_process.targets(np.array([-5.0, 100.0, 3.0, 1e9]))  # rewards that are no accuracies
    assert np.argsort(ranks).tolist() == [0, 2, 1, 3]
    assert none == 0


def test_a_prediction_is_that_of_the_formula():
    """Mean and variance of a Gaussian process, computed with an inverse."""
    draws = np.random.RandomState(0)
    inputs, new, values, noise = draws.randn(12, 4), draws.randn(3, 4), draws.randn(12), np.full(12, 0.3)
    fit = gaussian_process.fit(inputs, values, noise, inputs[:0])
    inverse = np.linalg.inv(gaussian_process.kernel(inputs, inputs) + np.diag(noise))
    across = gaussian_process.kernel(new, inputs)
    mean, deviation = fit.predict(new)
    np.testing.assert_allclose(mean, across @ inverse @ values, rtol=1e-9)
    variance = np.diag(gaussian_process.kernel(new, new) - across @ inverse @ across.T) * (values @ inverse @ values) / 12
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-7)
    left_out = fit.left_out(values)
    rest = np.arange(12) != 4
    alone = gaussian_process.fit(inputs[rest], values[rest], noise[rest], inputs[:0]).predict(inputs[4:5])[0]
    np.testing.assert_allclose(left_out[4], alone[0], rtol=1e-7)


def test_pending_architectures_change_no_mean_and_lower_the_uncertainty():
    draws = np.random.RandomState(1)
    inputs, values, noise, pending = draws.randn(10, 3), draws.randn(10), np.full(10, 0.2), draws.randn(2, 3)
    before, after = (gaussian_process.fit(inputs, values, noise, each).predict(pending) for each in (pending[:0], pending))
    np.testing.assert_allclose(before[0], after[0], atol=1e-9)
    assert (after[1] < before[1]).all()


def test_features_of_a_chain_and_of_a_wide_cell():
    space = SearchSpace(num_blocks=2, operations=("IDENTITY", "CONV_3X3"), combines=("ADD",))
    features = GraphFeatures(space)
    chain, wide = (0, 0, 1, 1, 0, 2, 2, 1, 1, 0), (0, 1, 1, 0, 0, 0, 1, 1, 0, 0)
    rows = features([chain + chain, wide + wide])
    at = {name: rows[:, place] for place, name in enumerate(features.names) if name.startswith("normal_cell")}
    assert at["normal_cell: longest path from input 0 in convolutions"].tolist() == [2, 1]
    assert at["normal_cell: shortest path from input 0 in edges"].tolist() == [2, 1]
    assert at["normal_cell: output states"].tolist() == [1, 2]
    assert at["normal_cell: CONV_3X3 reading an input"].tolist() == [2, 2]
    assert at["normal_cell: CONV_3X3 reading a block"].tolist() == [2, 0]
    assert at["normal_cell: uses of input 1"].tolist() == [0, 2]


def test_local_search_moves_to_better_neighbors_and_starts_again():
    space = SearchSpace(num_blocks=1, operations=OPERATIONS[:3], combines=("ADD",))
    strategy = LocalSearch(space, 0, starts=3)
    rewards = play(strategy, 120)
    assert max(rewards) == pytest.approx(0.9)
    assert strategy.diagnostics()["restarts"] >= 1


@pytest.mark.parametrize("kind", [ModelGuided, LocalSearch])
def test_mistakes(kind):
    strategy = kind(SPACE, 0)
    with pytest.raises(InputError, match="reward: expected a finite number, got nan"):
        strategy.feedback(strategy.propose(), float("nan"))
    with pytest.raises(InputError, match="expected 30 decisions in the proposal, got 1"):
        strategy.feedback(Proposal((0,)), 0.5)
    with pytest.raises(InputError, match="seed: expected an integer of 0 or more"):
        kind(SPACE, -1)
