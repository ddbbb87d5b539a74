"""Tests of the model-guided strategy and its features."""

import random

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError, SearchPaused
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.given import Allowed
from nasnet_tf.nas.strategies.graph_features import GraphFeatures
from nasnet_tf.nas.strategies.local_search import LocalSearch
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.protocol import Observation, Proposal
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.strategies.reward_model import RewardModel

OPERATIONS = ("IDENTITY", "CONV_1X1", "CONV_3X3", "MAX_POOL_3X3")
SPACE = SearchSpace(num_blocks=3, operations=OPERATIONS)
GOOD = OPERATIONS.index("CONV_3X3")


def good_share(decisions):
    """Returns the fraction of operations that are 3x3 convolutions."""
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
def test_it_beats_random_search(base):
    guided = play(ModelGuided(SPACE, 1, base), 40, noise=0.02)
    assert np.mean(sorted(guided)[-5:]) > np.mean(sorted(play(RandomSearch(SPACE, 1), 40, noise=0.02))[-5:]) + 0.1
    assert np.mean(guided[20:]) > np.mean(guided[:10]) + 0.1


def test_pending_proposals_are_all_different():
    strategy = ModelGuided(SPACE, 2)
    play(strategy, 15)
    ahead = [strategy.propose().decisions for _ in range(10)]
    assert len({SPACE.identity_of(each) for each in ahead}) == 10
    distances = [sum(a != b for a, b in zip(one, other, strict=True)) for one in ahead for other in ahead if one is not other]
    assert np.mean(distances) > 3  # they are more than near duplicates


def test_known_architectures_are_not_proposed_again():
    space = SearchSpace(num_blocks=1, operations=OPERATIONS, combines=("ADD",))
    strategy = ModelGuided(space, 0)
    seen = [space.identity_of(proposal.decisions) for proposal in _proposals(strategy, 60)]
    assert len(set(seen)) == len(seen)


def _proposals(strategy, count):
    for number in range(count):
        proposal = strategy.propose()
        yield proposal
        strategy.feedback(proposal, 0.5 + number / 1000)


def test_infeasible_architectures_are_avoided():
    """An architecture is infeasible if it is costly, and the costly ones have the highest rewards."""

    def infeasible(told):
        strategy, count = ModelGuided(SPACE, 1), 0
        for _ in range(60):
            proposal = strategy.propose()
            if good_share(proposal.decisions) <= 0.5:
                strategy.feedback(proposal, 0.5 + 0.4 * good_share(proposal.decisions))
            else:
                count += 1
                if told:
                    strategy.reject(proposal)
        return count

    assert infeasible(told=True) < 15
    assert infeasible(told=False) > 30


def test_an_infeasible_architecture_may_get_a_reward_on_another_machine():
    strategy, other = ModelGuided(SPACE, 1), ModelGuided(SPACE, 1)
    first = strategy.propose()
    strategy.reject(first)
    strategy.reject(first)
    play(strategy, 12)
    other.restore(strategy.state())
    for each in (strategy, other):
        each.feedback(first, 0.99)
    assert strategy.state() == other.state()
    assert [strategy.propose() for _ in range(3)] == [other.propose() for _ in range(3)]
    assert strategy.expected_gain(10) is not None


def test_a_proposal_of_another_machine_takes_the_place_of_the_own_one():
    strategy, trained = ModelGuided(SPACE, 1), Proposal((1,) * 30)
    play(strategy, 12)
    own = strategy.propose()
    strategy.replace(own, trained)
    assert strategy._pending == [trained.decisions]
    assert SPACE.identity_of(own.decisions) not in strategy._known
    assert SPACE.identity_of(trained.decisions) in strategy._known
    strategy.feedback(trained, 0.5)
    assert strategy._pending == []


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


@pytest.mark.parametrize("kind", [ModelGuided, LocalSearch])
def test_wrong_input_is_refused(kind):
    strategy = kind(SPACE, 0)
    with pytest.raises(InputError, match="reward: expected a finite number, got nan"):
        strategy.feedback(strategy.propose(), float("nan"))
    with pytest.raises(InputError, match="expected 30 decisions in the proposal, got 1"):
        strategy.feedback(Proposal((0,)), 0.5)
    with pytest.raises(InputError, match="seed: expected an integer of 0 or more"):
        kind(SPACE, -1)


def costly_share(decisions):
    """Returns a cost that grows with good_share, so that reward and cost conflict."""
    return 10.0 ** (1 + 2 * good_share(decisions))


def play_for_front(strategy, count):
    draws, found = random.Random(0), []
    for _ in range(count):
        proposal = strategy.propose()
        operations = [each for place, each in enumerate(proposal.decisions) if place % 5 in (2, 3)]
        waste = operations.count(OPERATIONS.index("MAX_POOL_3X3")) / len(operations)  # raises the cost but not the reward
        reward, cost = 0.5 + 0.4 * good_share(proposal.decisions) + 0.01 * draws.gauss(0, 1), costly_share(proposal.decisions) * 10**waste
        strategy.observe(Observation(proposal, reward, {"mult_adds": cost, "parameters": 7}))
        found.append((np.log10(cost), 0.5 + 0.4 * good_share(proposal.decisions)))
    return found


def area(found):
    """Returns the mean, over logarithmic costs of 10 to 1,000, of the best reward above 0.6 that is found at this cost or below."""
    edges = np.linspace(1, 3, 201)
    return np.mean([max([value - 0.6 for cost, value in found if cost <= edge and value > 0.6], default=0.0) for edge in edges])


def test_with_a_cost_it_finds_a_better_front():
    for_front = np.mean([area(play_for_front(ModelGuided(SPACE, seed, cost="mult_adds"), 60)) for seed in range(3)])
    for_reward = np.mean([area(play_for_front(ModelGuided(SPACE, seed), 60)) for seed in range(3)])
    by_chance = np.mean([area(play_for_front(RandomSearch(SPACE, seed), 60)) for seed in range(3)])
    assert for_front > 0.097  # the maximum is about 0.1
    assert for_front > 1.08 * for_reward
    assert for_reward > by_chance


def test_a_cost_that_is_not_a_metric_is_refused():
    strategy = ModelGuided(SPACE, 0, cost="mult_ads")
    with pytest.raises(InputError, match="ModelGuided.cost: expected a positive metric, got mult_ads = None; .* mult_adds, parameters"):
        strategy.observe(Observation(strategy.propose(), 0.5, {"mult_adds": 5, "parameters": 7}))
    for _ in range(10):
        strategy.observe(Observation(strategy.propose(), 0.5))  # killed at its deadline
    with pytest.raises(InputError, match="expected the children to report the metric mult_ads, but none has reported any metrics"):
        strategy.propose()


def test_longer_trainings_count_more_than_short_ones():
    rewards = np.array([[0.5, np.nan], [0.6, 0.8], [0.7, 0.82], [0.55, 0.86]])
    found = gaussian_process.targets(rewards)
    assert np.argsort(found.values).tolist() == [0, 1, 2, 3]
    model, draws = RewardModel(SPACE), random.Random(0)
    trials = [SPACE.sample(draws) for _ in range(30)]
    for each in trials:
        model.add(each, 0.5 + 0.4 * good_share(each) + draws.gauss(0, 0.1))
    (before, unsure), (same, surer) = model.predict().of(trials[:1]), _after_longer(model, trials[0], 0.9)
    assert surer < unsure
    assert same != before


def _after_longer(model, decisions, reward):
    model.add_longer(decisions, reward)
    return model.predict().of([decisions])


def test_predicted_rewards_count_less():
    def after(is_predicted):
        model, draws = RewardModel(SPACE), random.Random(0)
        for _ in range(40):
            model.add(SPACE.sample(draws), 0.5 + draws.gauss(0, 0.05))
        model.add((0,) * 30, 0.9, is_predicted)
        return model.predict().of([(0,) * 30])[0][0]

    assert after(is_predicted=True) < after(is_predicted=False)


def primed(sign, seed=0):
    """Returns a strategy primed with 60 trials whose rewards agree with those of this search (sign 1) or are reversed (sign -1)."""
    strategy, draws = ModelGuided(SPACE, seed), random.Random(seed)
    trials = [SPACE.sample(draws) for _ in range(60)]
    strategy.prime(trials, [0.5 + sign * 0.4 * good_share(each) + 0.02 * draws.gauss(0, 1) for each in trials])
    return strategy


def test_a_right_prior_saves_trainings_and_a_wrong_one_loses_none():
    def best(strategies, count):
        return np.mean([np.mean(sorted(play(strategy, count, noise=0.02))[-3:]) for strategy in strategies])

    plain = [ModelGuided(SPACE, seed) for seed in range(4)]
    right, wrong = ([primed(sign, seed) for seed in range(4)] for sign in (1, -1))
    assert best(right, 8) > best(plain, 8) + 0.1
    assert best(wrong, 40) > best([ModelGuided(SPACE, seed) for seed in range(4)], 40) - 0.02


def test_each_prior_has_a_scale_of_its_own():
    """The same architectures are better on one data set than on the other."""

    def correlation(offsets):
        strategy, draws, truth = ModelGuided(SPACE, 0), random.Random(0), []
        for offset in offsets:
            trials = [SPACE.sample(draws) for _ in range(60)]
            strategy.prime(trials, [offset + 0.05 * good_share(each) + 0.002 * draws.gauss(0, 1) for each in trials])
        trials = [SPACE.sample(draws) for _ in range(200)]
        truth = [good_share(each) for each in trials]
        return np.corrcoef(strategy._model.prior_mean(strategy._model.scaled(trials)), truth)[0, 1]

    assert correlation([0.5, 0.9]) > correlation([0.5]) > 0.7


def test_a_primed_strategy_resumes_exactly():
    one = primed(1)
    play(one, 7)
    other = primed(1)
    other.restore(one.state())
    assert [one.propose() for _ in range(4)] == [other.propose() for _ in range(4)]


def test_the_expected_gain_falls_as_the_search_improves():
    strategy = ModelGuided(SPACE, 1)
    assert strategy.expected_gain(10) is None
    rewards = play(strategy, 12, noise=0.005)
    early = strategy.expected_gain(100)
    assert 0.01 < early < 1 - max(rewards)
    assert strategy.expected_gain(1) < early
    play(strategy, 60, noise=0.005)
    assert strategy.expected_gain(100) < early / 3


def test_expected_gain_does_not_change_the_state():
    """If it did, a resumed search would make other proposals."""
    strategy = ModelGuided(SPACE, 1)
    play(strategy, 13, noise=0.005)  # the next proposal fits the noise again
    state = strategy.state()
    assert strategy.expected_gain(100) is not None
    assert strategy.state() == state


def test_only_allowed_architectures_are_proposed():
    def is_allowed(decisions):
        return good_share(decisions) <= 0.5

    for strategy in (ModelGuided(SPACE, 1), RandomSearch(SPACE, 1), RegularizedEvolution(SPACE, 1, population=5, tournament=2)):
        around = Allowed(strategy, is_allowed, "half")
        rewards = play(around, 40)
        assert max(rewards) <= 0.7 + 1e-9
        if isinstance(strategy, ModelGuided):
            assert np.mean(rewards[20:]) > 0.68  # close to the limit of 0.7
            assert not strategy._pending  # nothing that was refused is waited for
    with pytest.raises(SearchPaused, match="none of 1,000 architectures proposed in a row was within no cap"):
        Allowed(RandomSearch(SPACE, 1), lambda decisions: False, "no cap").propose()
