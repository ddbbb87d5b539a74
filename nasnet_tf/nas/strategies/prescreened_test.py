"""Tests of the strategy that selects proposals with a surrogate."""

import random

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.prescreened import Prescreened, features, fitted
from nasnet_tf.nas.strategies.protocol import Proposal
from nasnet_tf.nas.strategies.random_search import RandomSearch

SPACE = SearchSpace(num_blocks=3, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))


def worth(decisions) -> float:
    """Returns 0.5 plus 0.02 for each separable convolution."""
    return 0.5 + 0.02 * sum(features(SPACE, decisions)[place] for place in (1, 8))


def made(strategy=lambda space: RandomSearch(space, 2), **numbers) -> Prescreened:
    return Prescreened(SPACE, strategy, **{"seed": 1, "least_rewards": 10, **numbers})


def played(strategy, count) -> list[Proposal]:
    proposals = []
    for _ in range(count):
        proposals.append(strategy.propose())
        strategy.feedback(proposals[-1], worth(proposals[-1].decisions))
    return proposals


def test_features_count_operations_combines_depth_and_outputs():
    space = SearchSpace(num_blocks=2, operations=("IDENTITY", "CONV_1X1"))
    normal, reduction = (0, 1, 1, 1, 0, 2, 0, 0, 1, 1), (0, 0, 0, 0, 0, 1, 1, 0, 0, 0)
    assert features(space, normal + reduction) == [1, 3, 1, 1, 2, 4 - 3] + [4, 0, 2, 0, 1, 4 - 2]
    fixed = SearchSpace(num_blocks=2, operations=("IDENTITY", "CONV_1X1"), fixed_reduction="nasnet_a")
    assert features(fixed, normal) == [1, 3, 1, 1, 2, 1]


def test_the_surrogate_fits_a_linear_function():
    inputs = np.random.default_rng(0).normal(size=(400, 4)) * [1, 5, 0, 1] + [0, 3, 7, 0]
    rewards = 0.3 + inputs @ [0.1, -0.02, 0.0, 0.0]
    np.testing.assert_allclose(fitted(inputs, rewards).predict(inputs), rewards, atol=0.01)


def test_it_proposes_promising_candidates():
    random_mean = np.mean([worth(SPACE.sample(random.Random(number))) for number in range(300)])
    proposals = played(made(random_share=0.0), 40)
    assert [proposal.decisions for proposal in proposals[:10]] == [p.decisions for p in played(RandomSearch(SPACE, 2), 10)]
    assert np.mean([worth(proposal.decisions) for proposal in proposals[20:]]) > random_mean + 0.03
    unseen = played(made(random_share=1.0), 40)
    assert [proposal.decisions for proposal in unseen] == [p.decisions for p in played(RandomSearch(SPACE, 2), 40)]


def test_a_resumed_search_makes_the_same_proposals(tmp_path):
    def child(text, request):
        from nasnet_tf.genotype import parse_genotype

        return {"reward": worth(SPACE.encode(parse_genotype(text)))}

    def run(folder, num_trials):
        evolution = made(lambda space: RegularizedEvolution(space, 5, population=5, tournament=2))
        config = SearchConfig(SPACE, lambda space: evolution, InProcess, num_trials)
        return [trial.decisions for trial in search(tmp_path / folder, config, child)]

    whole = run("whole", 30)
    for count in (3, 12, 25):
        run("cut", count)
    assert run("cut", 30) == whole


def test_a_restored_strategy_makes_the_same_proposals():
    one, other = made(), made()
    played(one, 25)
    other.restore(one.state())
    assert played(other, 5) == played(one, 5)
    assert other.state() == one.state()


def test_a_machine_that_rounds_differently_may_select_another_candidate():
    strategy = made(random_share=0.0)
    played(strategy, 10)
    chosen = strategy.propose()
    others = [proposal for proposal in strategy._last if proposal != chosen]
    assert strategy.would_propose(others[0])
    assert not strategy.would_propose(Proposal(SPACE.sample(random.Random(99))))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(InputError, match="Prescreened.random_share: expected a number in"):
        made(random_share=1.5)
    with pytest.raises(InputError, match="Prescreened.candidates: expected an integer of 1 or more, got 0"):
        made(candidates=0)
