"""Tests of the results that evaluators may return: numbers and metrics of every type."""

import collections
import fractions

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials import outcomes
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.ledger import Ledger
from nasnet_tf.testing import finished, open_ledger

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))


def recorded(folder, value):
    book = Ledger(folder, SPACE, RandomSearch(SPACE, seed=1), Identity())
    book.propose()
    book.record(Outcome(0, 1.0, value=value))
    book.close()
    (trial,) = read_trials(folder)
    return trial


@pytest.mark.parametrize(
    "reward",
    [
        *(2, 2.0, np.float32(2), np.float16(2), np.int64(2), np.uint8(2), np.array(2.0), tf.bfloat16.as_numpy_dtype(2)),
        *(tf.constant(2.0), tf.constant(2), tf.Variable(2.0), tf.constant(2, tf.bfloat16), tf.constant(2, tf.float16)),
        *(tf.Variable(2, dtype=tf.bfloat16), np.array(2, tf.bfloat16.as_numpy_dtype)),
    ],
)
def test_numbers_of_every_type_are_rewards(tmp_path, reward):
    trial = recorded(tmp_path, {"reward": reward})
    assert (trial.status, trial.reward, type(trial.reward)) == ("finished", 2.0, float)


@pytest.mark.parametrize(
    "reward",
    [
        None,
        "2",
        True,
        np.nan,
        np.inf,
        tf.constant(np.nan),
        tf.constant(np.nan, tf.bfloat16),
        np.array([2.0]),
        [2.0],
        {},
        np.bool_(True),
        1j,
    ],
)
def test_other_values_are_not_rewards(tmp_path, reward):
    trial = recorded(tmp_path, {"reward": reward})
    assert trial.status == "infeasible"
    assert trial.reason.endswith("not a finite number")


@pytest.mark.parametrize("value", [0.5, None, {}, [], {"rewards": 1.0}])
def test_a_wrong_result_is_reported(tmp_path, value):
    trial = recorded(tmp_path, value)
    assert trial.status == "failed"
    assert trial.reason.startswith("the evaluator returned ")
    assert 'expected {"reward": number, "metrics": {...}}' in trial.reason


def test_metrics_may_hold_anything(tmp_path):
    metrics = {
        "curve": np.array([0.5, np.nan], np.float32),
        "counts": np.arange(3),
        "loss": tf.constant(0.25),
        "halves": tf.constant([0.25, np.nan], tf.bfloat16),
        "nested": {1: (np.int32(4), float("inf"), [np.float64("nan"), "text", None, True])},
        "named": collections.namedtuple("Named", "a")(a=1.5),
        "odd": fractions.Fraction(1, 2),
        "flag": np.bool_(True),
        "words": np.array(["a", "b"]),
    }
    assert recorded(tmp_path, {"reward": 1, "metrics": metrics}).metrics == {
        "curve": [0.5, None],
        "counts": [0, 1, 2],
        "loss": 0.25,
        "halves": [0.25, None],
        "nested": {"1": [4, None, [None, "text", None, True]]},
        "named": [1.5],
        "odd": "Fraction(1, 2)",
        "flag": True,
        "words": ["a", "b"],
    }
    assert recorded(tmp_path / "list", {"reward": 1, "metrics": [1, 2]}).metrics == {"metrics": [1, 2]}
    assert recorded(tmp_path / "none", {"reward": 1, "metrics": None}).metrics == {}


def test_incomplete_curves_do_not_count_for_early_stopping():
    assert outcomes.curve_of({"curve": [0.5, 1]}) == [0.5, 1.0]
    for curve in ([0.5, None], "abc", 7, None, [0.5, "x"]):
        assert outcomes.curve_of({"curve": curve}) == []


def test_a_dict_is_expected():
    with pytest.raises(InputError, match="the evaluator returned 1.5; expected"):
        outcomes.checked(1.5)


@pytest.mark.parametrize("deadline_reward", [None, 0.1])
def test_the_strategy_learns_that_an_architecture_is_infeasible_or_its_deadline_reward(tmp_path, deadline_reward):
    class Recorder(RandomSearch):
        def __init__(self):
            super().__init__(SPACE, 1)
            self.told = []

        def reject(self, proposal):
            self.told.append((proposal.decisions, None))

        def feedback(self, proposal, reward):
            self.told.append((proposal.decisions, reward))

    strategies = Recorder(), Recorder()
    book = open_ledger(tmp_path, strategies[0], deadline_reward=deadline_reward)
    first, second = book.propose(), book.propose()
    book.record(Outcome(0, 1.0, reason="killed at its deadline", over_deadline=True))
    book.record(finished(1, 0.5))
    book.close()
    open_ledger(tmp_path, strategies[1], deadline_reward=deadline_reward).close()
    assert strategies[0].told == strategies[1].told == [(first.decisions, deadline_reward), (second.decisions, 0.5)]
