"""Tests of the importance of choices, on rewards whose true effects are known."""

import math
import random

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.graph_features import GraphFeatures
from nasnet_tf.nas.strategies.importance import importance

SPACE = SearchSpace()
TRUE = {
    "normal_cell: SEP_CONV_5X5": -0.04,
    "normal_cell: IDENTITY": 0.03,
    "reduction_cell: uses of input 1": -0.03,
    "normal_cell: longest path from input 0 in edges": 0.02,
}


def rewards_of(decisions, noise, draws):
    """Returns accuracies whose error is 0.3, multiplied by exp(TRUE[choice]) for each choice and by noise."""
    features = GraphFeatures(SPACE)
    names, counts = features.counts(features(decisions))
    logarithms = [sum(TRUE.get(name, 0.0) * count for name, count in zip(names, row, strict=True)) for row in counts]
    return [1 - 0.3 * math.exp(each + noise * draws.gauss(0, 1)) for each in logarithms]


def test_it_finds_the_true_effects():
    draws = random.Random(0)
    decisions = [SPACE.sample(draws) for _ in range(400)]
    found = importance(SPACE, decisions, rewards_of(decisions, 0.03, draws))
    assert {each.choice for each in found.effects[: len(TRUE)]} == TRUE.keys()
    for each in found.effects:
        expected = TRUE.get(each.choice, 0.0)
        assert abs(each.mean) < abs(expected) + 3 * each.error  # the prior shrinks effects toward 0
        assert each.mean * expected > 0 or not expected
    assert sum(abs(each.mean) > 2 * each.error for each in found.effects) <= len(TRUE) + 5
    assert found.is_accuracy
    assert found.knows_something
    assert found.rank_correlation > 0.7
    assert found.r2 > 0.5


def test_random_rewards_give_no_importance():
    for seed in range(5):
        draws = random.Random(seed)
        decisions = [SPACE.sample(draws) for _ in range(100)]
        assert not importance(SPACE, decisions, [draws.uniform(0.5, 0.6) for _ in decisions]).knows_something


def test_effects_are_found_for_rewards_that_are_not_accuracies():
    draws = random.Random(0)
    decisions = [SPACE.sample(draws) for _ in range(200)]
    found = importance(SPACE, decisions, [1000 * reward for reward in rewards_of(decisions, 0.03, draws)])
    effects = {each.choice: each.mean for each in found.effects}
    assert not found.is_accuracy
    assert effects["normal_cell: SEP_CONV_5X5"] > 0 > effects["normal_cell: IDENTITY"]


def test_equal_rewards_give_no_importance():
    draws = random.Random(0)
    assert not importance(SPACE, [SPACE.sample(draws) for _ in range(20)], [0.5] * 20).knows_something


def test_too_few_architectures_are_refused():
    with pytest.raises(InputError, match="at least 10 rewarded architectures, got 3"):
        importance(SPACE, [SPACE.sample(random.Random(seed)) for seed in range(3)], [0.1, 0.2, 0.3])
