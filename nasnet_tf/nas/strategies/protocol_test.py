"""Tests of the search strategies: determinism, replay, learning and refused input."""

import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import strategies
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.local_search import LocalSearch
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.ppo_search import PPOSearch, shortest_decimals
from nasnet_tf.nas.strategies.protocol import Proposal
from nasnet_tf.nas.strategies.random_search import RandomSearch

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
SEP = SPACE.operations.index("SEP_CONV_3X3")


def _small_ppo(seed=5, **bindings):
    return PPOSearch(SPACE, seed, minibatch=8, hidden_units=12, **bindings)


def _fraction_of_sep_conv(proposal):
    operations = [proposal.decisions[block + side] for block in range(0, len(proposal.decisions), 5) for side in (2, 3)]
    return operations.count(SEP) / len(operations)


def _run(strategy, calls, recorded=None):
    """Calls a strategy with a fixed mix of proposals and rewards; returns all proposals. Rewards come out of order, and some never.

    With `recorded`, the rewards are for these proposals instead of the strategy's own, as in a replay.
    """
    rng = random.Random(11)
    proposals, open_trials = [], []
    for _ in range(calls):
        if open_trials and rng.random() < 0.5:
            trial = open_trials.pop(rng.randrange(len(open_trials)))
            strategy.feedback((recorded or proposals)[trial], rng.random())
        else:
            open_trials.append(len(proposals))
            proposals.append(strategy.propose())
    return proposals


def _small_evolution(seed=5):
    return RegularizedEvolution(SPACE, seed, population=10, tournament=4)


def _small_random(seed=5):
    return RandomSearch(SPACE, seed)


MAKERS = {
    "ppo": _small_ppo,
    "evolution": _small_evolution,
    "random": _small_random,
    "local": lambda seed=5: LocalSearch(SPACE, seed, starts=4),
    "guided": lambda seed=5: ModelGuided(SPACE, seed),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestEveryStrategy:
    def test_proposals_are_valid_plain_numbers(self, make):
        proposals = _run(make(), 30)
        for proposal in proposals:
            assert SPACE.encode(SPACE.decode(proposal.decisions)) == proposal.decisions
            assert all(type(decision) is int for decision in proposal.decisions)
            assert all(type(log_prob) is float and log_prob <= 0 for log_prob in proposal.log_probs)
        assert len(set(proposals)) > 1

    def test_replay_of_a_journal_gives_the_same_proposals_bit_for_bit(self, make):
        strategy = make()
        proposals = _run(strategy, 90)
        journal = json.loads(json.dumps([[proposal.decisions, proposal.log_probs] for proposal in proposals]))
        recorded = [Proposal(tuple(decisions), tuple(log_probs)) for decisions, log_probs in journal]
        np.random.seed(1)  # a strategy must not depend on global random states
        random.seed(1)
        replayed = make()
        assert _run(replayed, 90, recorded) == proposals == recorded
        assert [replayed.propose() for _ in range(20)] == [strategy.propose() for _ in range(20)]
        assert replayed.diagnostics() == strategy.diagnostics()

    def test_a_restored_strategy_continues_bit_for_bit(self, make):
        """The state is saved in the middle of a minibatch, when some proposals are drawn ahead, some are open and some are rewarded."""

        def answer(strategy, proposals, count):
            for proposal in proposals[:count]:
                strategy.feedback(proposal, 0.5 + sum(proposal.decisions) / 100)
            return strategy.diagnostics()

        whole = make()
        _run(whole, 67)
        still_open = [whole.propose() for _ in range(3)]
        answer(whole, still_open[:1], 1)
        state = whole.state()
        part = make()
        part.restore(state)
        assert part.state() == whole.state() == state
        assert part.diagnostics() == whole.diagnostics()
        for _ in range(3):  # long enough for several updates of PPO
            assert answer(part, still_open, 3) == answer(whole, still_open, 3)
            still_open = [whole.propose() for _ in range(12)]
            assert [part.propose() for _ in range(12)] == still_open
            assert answer(part, still_open, 9) == answer(whole, still_open, 9)
        assert part.state() == whole.state() != state

    def test_the_state_of_a_new_strategy_can_be_restored(self, make):
        strategy = make()
        state = strategy.state()
        _run(strategy, 40)
        strategy.restore(state)
        assert strategy.state() == state
        assert _run(strategy, 40) == _run(make(), 40)

    def test_damaged_and_foreign_states_are_refused_and_change_nothing(self, make):
        strategy = make()
        _run(strategy, 40)
        state = strategy.state()
        flipped = bytearray(state)
        flipped[len(state) // 2] ^= 1
        others = [other(5) for other in (_small_ppo, _small_evolution, _small_random) if other is not make]
        for bad in (
            b"",
            b"junk",
            state[:-1],
            state[:40],
            bytes(flipped),
            state + b"0",
            make(6).state(),
            *(other.state() for other in others),
        ):
            with pytest.raises(InputError, match=f"state of {type(strategy).__name__}: expected"):
                strategy.restore(bad)
            assert strategy.state() == state

    def test_a_state_of_another_space_is_refused(self, make, monkeypatch):
        state = make().state()
        monkeypatch.setattr(
            sys.modules[__name__], "SPACE", SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_5X5", "MAX_POOL_3X3"))
        )
        with pytest.raises(InputError, match="space.*SEP_CONV_5X5"):
            make().restore(state)

    def test_seed_changes_the_proposals(self, make):
        assert make(seed=5).propose() != make(seed=6).propose()

    @pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf, None, "0.9", True])
    def test_rewards_that_are_not_finite_numbers_are_refused(self, make, reward):
        strategy = make()
        proposal = strategy.propose()
        with pytest.raises(InputError, match="reward: expected a finite number"):
            strategy.feedback(proposal, reward)

    def test_diagnostics_are_finite_numbers_from_the_start(self, make):
        strategy = make()
        assert all(math.isfinite(value) for value in strategy.diagnostics().values())
        _run(strategy, 60)
        assert all(type(value) is float and math.isfinite(value) for value in strategy.diagnostics().values())


def test_random_search_is_uniform_and_ignores_rewards():
    proposals = _run(RandomSearch(SPACE, 1), 1000)
    assert proposals[0].log_probs == ()
    assert np.mean([_fraction_of_sep_conv(proposal) for proposal in proposals]) == pytest.approx(1 / 3, abs=0.03)
    assert [RandomSearch(SPACE, 1).propose()] == proposals[:1]
    assert RandomSearch(SPACE, 1).diagnostics() == {}


def test_log_probs_are_shortest_decimals():
    rng = np.random.default_rng(0)
    values = -np.exp(rng.uniform(np.log(1e-8), np.log(1e3), 20_000)).astype(np.float32)
    values = np.concatenate([values, np.array([0, -0.0, -1, -0.5, -0.1, -1.1920929e-07, -16777216], np.float32)])
    assert shortest_decimals(values).tolist() == [float(str(value)) for value in values]
    for log_prob in _small_ppo().propose().log_probs:
        assert log_prob == float(str(np.float32(log_prob)))


def test_ppo_learns():
    strategy = _small_ppo(learning_rate=0.02, epochs=1)
    rewards = []
    for _ in range(480):
        proposal = strategy.propose()
        rewards.append(_fraction_of_sep_conv(proposal))
        strategy.feedback(proposal, rewards[-1])
    assert np.mean(rewards[:40]) < 0.5
    assert np.mean(rewards[-40:]) > 0.9
    diagnostics = strategy.diagnostics()
    assert diagnostics["updates"] == 60
    assert diagnostics["baseline"] > 0.8
    assert diagnostics["entropy"] < sum(map(math.log, SPACE.sizes)) / 2


def test_ppo_diagnostics_stay_in_range_when_rewards_come_twenty_updates_late():
    strategy = _small_ppo(learning_rate=0.01)
    flight = [strategy.propose() for _ in range(20 * 8)]
    divergences = []
    for number in range(60 * 8):
        proposal = flight.pop(0)
        strategy.feedback(proposal, _fraction_of_sep_conv(proposal))
        flight.append(strategy.propose())
        if number >= 8:
            divergences.append(strategy.diagnostics()["kl"])
            assert 0 <= strategy.diagnostics()["clip_fraction"] <= 1
    assert min(divergences) >= -1e-5
    assert 0.1 < max(divergences) < 100
    assert np.mean([_fraction_of_sep_conv(proposal) for proposal in flight]) > 0.5  # a third by chance


def test_ppo_updates_after_a_minibatch_of_rewards_and_then_draws_from_the_new_policy():
    strategy, still = _small_ppo(learning_rate=0.05), _small_ppo(learning_rate=0.05)
    proposals = [strategy.propose() for _ in range(9)]
    assert [still.propose() for _ in range(9)] == proposals
    for proposal in proposals[:7]:
        strategy.feedback(proposal, 1.0 - 0.1 * proposal.decisions[2])
    assert strategy.diagnostics()["updates"] == 0
    strategy.feedback(proposals[7], 0.0)
    assert strategy.diagnostics()["updates"] == 1
    fresh, stale = strategy.propose(), still.propose()
    assert fresh.log_probs[0] not in (stale.log_probs[0], *(proposal.log_probs[0] for proposal in proposals))


def test_ppo_takes_advantages_before_the_baseline_moves():
    strategy = PPOSearch(SPACE, 0, minibatch=2, hidden_units=4, epochs=1, entropy_weight=0.0, baseline_decay=0.9)
    for reward in (0.5, 0.7):
        strategy.feedback(strategy.propose(), reward)
    assert strategy.diagnostics()["baseline"] == pytest.approx(0.52)
    # All ratios are 1, so the loss of each decision is minus the mean advantage.
    assert strategy.diagnostics()["loss"] == pytest.approx(-len(SPACE.sizes) * (0.0 + 0.2) / 2, rel=1e-5)


def test_ppo_refuses_a_proposal_without_probabilities():
    strategy = _small_ppo()
    with pytest.raises(InputError, match=f"expected {len(SPACE.sizes)} log_probs in the proposal, got 0"):
        strategy.feedback(RandomSearch(SPACE, 0).propose(), 0.5)


@pytest.mark.parametrize("make", [_small_ppo, _small_evolution], ids=["ppo", "evolution"])
def test_decisions_outside_the_space_are_refused(make):
    strategy = make()
    proposal = strategy.propose()
    for decisions, message in (
        ((0, 0, 0), "decisions in the proposal, got 3"),
        ((9, *proposal.decisions[1:]), "decision 0 in 0..1, got 9"),
    ):
        with pytest.raises(InputError, match=message):
            strategy.feedback(Proposal(decisions, proposal.log_probs), 0.5)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"minibatch": 0}, "minibatch: expected an integer of 1 or more, got 0"),
        ({"epochs": 1.5}, "epochs: expected an integer of 1 or more, got 1.5"),
        ({"hidden_units": -1}, "hidden_units"),
        ({"epochs": 0}, "epochs: expected an integer of 1 or more, got 0"),
        ({"baseline_decay": 1.0}, r"baseline_decay: expected a number in \[0, 1\), got 1.0"),
        ({"learning_rate": "a"}, "learning_rate: expected a positive number, got 'a'"),
        ({"learning_rate": -1}, "learning_rate: expected a positive number, got -1"),
        ({"learning_rate": math.inf}, "learning_rate: expected a positive number, got inf"),
        ({"clip": 0.0}, "clip: expected a positive number, got 0.0"),
        ({"entropy_weight": -1e-5}, "entropy_weight: expected a number of 0 or more, got -1e-05"),
        ({"entropy_weight": None}, "entropy_weight: expected a number of 0 or more, got None"),
        ({"seed": -1}, "seed: expected an integer of 0 or more, below"),
    ],
)
def test_ppo_refuses_wrong_arguments_before_it_loads_tensorflow(bindings, message, monkeypatch):
    for module in ("policy", "ppo"):
        monkeypatch.setitem(sys.modules, f"nasnet_tf.nas.strategies.{module}", None)
        monkeypatch.delattr(strategies, module, raising=False)
    with pytest.raises(InputError, match=rf"^PPOSearch\.{message}") as raised:
        PPOSearch(**{"space": SPACE, "seed": 0, **bindings})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", None, True])
def test_random_search_refuses_wrong_seeds(seed):
    with pytest.raises(InputError, match=r"^RandomSearch\.seed: expected an integer"):
        RandomSearch(SPACE, seed)


def test_random_search_and_evolution_need_no_tensorflow():
    code = """
import sys
sys.modules["tensorflow"] = None
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import strategies
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.random_search import RandomSearch
print(*(len(strategy(SearchSpace(), 0).propose().decisions) for strategy in (RandomSearch, RegularizedEvolution)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == ("50 50", 0), result.stderr
