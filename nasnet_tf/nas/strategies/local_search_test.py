"""Tests of local search."""

import random

import pytest

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.local_search import LocalSearch
from nasnet_tf.nas.strategies.model_guided_test import OPERATIONS, play


def test_local_search_moves_to_better_neighbors_and_restarts():
    space = SearchSpace(num_blocks=1, operations=OPERATIONS[:3], combines=("ADD",))
    strategy = LocalSearch(space, 0, starts=3)
    rewards = play(strategy, 120)
    assert max(rewards) == pytest.approx(0.9)
    assert strategy.diagnostics()["restarts"] >= 1


def test_local_search_restarts_at_random_with_parallel_workers():
    """Rewards arrive ten proposals late, so those of the last neighbors arrive after a restart."""
    space = SearchSpace(num_blocks=1, operations=OPERATIONS[:2], combines=("ADD",))
    strategy, waiting = LocalSearch(space, 0, starts=3), []
    restarts, centers = 0.0, []
    for number in range(200):
        waiting.append(strategy.propose())
        if len(waiting) > 10:
            before = strategy.diagnostics()
            proposal = waiting.pop(0)
            strategy.feedback(proposal, random.Random(number).random())
            if strategy.diagnostics()["restarts"] > restarts and "best" in strategy.diagnostics() and "best" not in before:
                restarts = strategy.diagnostics()["restarts"]
                centers.append(proposal.decisions in strategy._starts)
    assert len(centers) > 3
    assert all(centers)
