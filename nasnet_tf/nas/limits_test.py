"""Tests of time limits, goals, and estimates of energy and price."""

import functools
import time

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.children.halving import SuccessiveHalving
from nasnet_tf.nas.children.protocol import Evaluator
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.limits import Budget, Rates
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import read_spent
from nasnet_tf.nas.trials.trial import Trial

SPACE = SearchSpace(num_blocks=2)


class SlowEngine(InProcess):
    """Reports that each child took half an hour."""

    def poll(self, timeout_seconds):
        return [Outcome(outcome.key, 1800.0, outcome.value) for outcome in super().poll(timeout_seconds)]


class Prepared(Evaluator):
    """Gives all architectures the same reward, and reports 45 minutes of preparation."""

    def __call__(self, text, request):
        return {"reward": 0.5}

    def prepare(self, workdir):
        return "shared weights", 2700.0


def run(workdir, num_trials=10, **more):
    config = SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), SlowEngine, num_trials, **more)
    return search(workdir, config, Prepared())


def test_max_child_hours_ends_a_search_and_a_higher_limit_resumes_it(tmp_path):
    assert len(run(tmp_path, max_child_hours=1.2)) == 3  # the third began at 1.0 hours
    assert len(run(tmp_path, max_child_hours=1.5)) == 3
    assert len(run(tmp_path, max_child_hours=2.0)) == 4
    assert len(run(tmp_path)) == 10


def test_max_hours_does_not_count_pauses(monkeypatch):
    trial = Trial(0, "", "", (), (), 0.0, executions=[(10_000.0, 1800.0), (9_000.0, 1000.0), (90_000.0, 600.0)])
    clock = [5.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    budget = Budget(1.0, None, [trial])
    before = 10_000 - 8_000 + 600
    clock[0] += 3600 - before - 1
    assert not budget.is_spent(0.0, ())
    assert budget.seconds_left == 1
    clock[0] += 2
    assert budget.is_spent(0.0, ())


def test_max_child_hours_counts_running_children(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 3000.0)
    budget = Budget(None, 1.0, [])
    assert not budget.is_spent(1000.0, [1000.0])
    assert budget.is_spent(1000.0, [1000.0, 2300.0])


def test_preparation_counts_once_toward_max_child_hours(tmp_path):
    for _ in range(2):
        assert len(run(tmp_path, max_child_hours=1.0, evaluator=Prepared())) == 1
    assert read_spent(tmp_path) == 2700.0
    assert len(run(tmp_path, max_child_hours=1.5)) == 2


def test_rates_estimate_energy_and_price(tmp_path):
    rates = Rates(watts=50.0, price=0.4)
    assert rates.estimate(9000.0) == pytest.approx({"child_hours": 2.5, "kwh": 0.125, "price": 1.0})
    run(tmp_path, num_trials=1, child_watts=50.0, child_hour_price=0.4)
    assert Rates.load(tmp_path) == rates
    run(tmp_path, num_trials=1)
    assert Rates.load(tmp_path) == Rates()
    assert Rates().estimate(3600.0) == {"child_hours": 1.0}


@pytest.mark.parametrize("wrong", [{"max_hours": 0}, {"max_child_hours": True}, {"child_watts": "2"}, {"child_hour_price": -1}])
def test_wrong_limits_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=f"search.{next(iter(wrong))}: expected a positive number or None"):
        run(tmp_path, **wrong)
    with pytest.raises(InputError, match="Rates.price: expected a positive number or None"):
        Rates(price="2")


def rewards_of_the_first(count):
    """Returns a child whose reward rises with the number of the trial up to trial `count`, and stays the same after that."""

    def child(text, request):
        number = int(text.split("trial_")[1].split('"')[0])
        return {"reward": 0.1 * min(number, count)}

    return child


def run_to_goal(workdir, evaluate, **more):
    config = SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), InProcess, 20, **more)
    return search(workdir, config, evaluate)


def test_a_search_ends_at_its_target_and_a_higher_one_resumes_it(tmp_path, capsys):
    assert len(run_to_goal(tmp_path, rewards_of_the_first(20), target=0.35)) == 5
    assert "the search ends: trial 4 has reached the target of 0.35 with a reward of 0.4000" in capsys.readouterr().out
    assert len(run_to_goal(tmp_path, rewards_of_the_first(20), target=0.35)) == 5  # the resumed search is still at its target
    assert len(run_to_goal(tmp_path, rewards_of_the_first(20), target=0.55)) == 7


def test_patience_ends_a_search(tmp_path, capsys):
    assert len(run_to_goal(tmp_path, rewards_of_the_first(3), patience=4)) == 8  # trials 0 to 3, and four that are not better
    assert "4 trainings since trial 3 have not improved on its reward of 0.3000" in capsys.readouterr().out
    assert len(run_to_goal(tmp_path, rewards_of_the_first(3), patience=6)) == 10
    with pytest.raises(InputError, match="search.patience: expected an integer of 1 or more, or None, got 0"):
        run_to_goal(tmp_path, rewards_of_the_first(3), patience=0)


def promoted(text, request):
    """Rewards trial 0 far above the others, and each trial more after a longer training."""
    number = int(text.split("trial_")[1].split('"')[0])
    return {"reward": (0.9 if number == 0 else 0.1) + 0.05 * request.share}


def test_a_better_reward_after_a_longer_training_counts_as_an_improvement(tmp_path):
    halving = SuccessiveHalving(rungs=2, eta=2)
    trials = run_to_goal(tmp_path, promoted, patience=3, halving=halving)
    assert len(trials[0].rung_rewards) == 2  # after trial 1
    assert len(trials) == 5  # trials 2, 3 and 4 are not better


def test_the_progress_line_shows_the_expected_gain_of_another_hour(tmp_path, capsys):
    def child(text, request):
        return {"reward": 0.5 + 0.02 * text.count("SEP_CONV")}

    # One slot runs two trainings per hour.
    search(tmp_path, SearchConfig(SPACE, functools.partial(ModelGuided, seed=0), SlowEngine, 15), child)
    last = capsys.readouterr().err.splitlines()[-1]
    assert 0 < float(last.split("expected_in_an_hour ")[1].split(" ")[0]) < 0.2
