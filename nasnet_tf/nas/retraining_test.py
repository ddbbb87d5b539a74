"""Tests of the retraining of the best architectures of a search, with children that do not train."""

import functools
import json

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, genotype_hash, load_genotype, parse_genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies import given
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import read_trials

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))


class Here(InProcess):
    """Counts the children that it ran."""

    ran = 0

    def poll(self, timeout_seconds):
        key, function, args = self._waiting
        self._waiting = None
        Here.ran += 1
        return [Outcome(key, 1.0, value=function(*args))]


def reward_of(text, place):
    return int(genotype_hash(parse_genotype(text))[place : place + 4], 16) / 2**16


def short(text, request):
    return {"reward": reward_of(text, 0)}


def long(text, request):
    return {"reward": reward_of(text, 4)}


def measure(folder):
    return {"accuracy": int(folder.name[8:12], 16) / 2**16, "examples": 10}


def config(num_trials=1, **more):
    return SearchConfig(SPACE, functools.partial(RandomSearch, seed=4), Here, num_trials, **more)


def searched(tmp_path, num_trials, evaluate=short):
    return search(tmp_path, config(num_trials), evaluate)


def retrain(tmp_path, trials, count, evaluate=long, epochs=9, **more):
    identity = Identity({"epochs": epochs})
    folder = retraining.folder_of(tmp_path, identity)
    return retraining.retrain_top(folder, config(retrain_top=count, **more), trials, evaluate, measure, identity)


def test_the_best_are_retrained_and_the_winner_is_tested_once(tmp_path, capsys):
    trials = searched(tmp_path, 12)
    best = sorted(trials, key=lambda trial: -trial.reward)[:5]
    Here.ran = 0
    winner, test = retrain(tmp_path, trials, 5)
    assert Here.ran == 6
    expected = max(best, key=lambda trial: reward_of(trial.text, 4))
    assert winner.hash == expected.hash == genotype_hash(load_genotype(str(tmp_path / "retrain" / "winner.textproto")))
    assert test["accuracy"] == int(expected.hash[8:12], 16) / 2**16
    assert json.loads((tmp_path / "retrain" / "test.json").read_text()) == test
    assert [trial.hash for trial in read_trials(tmp_path / "retrain")] == [trial.hash for trial in best]
    assert retrain(tmp_path, trials, 5) == (winner, test)
    assert Here.ran == 6
    (tmp_path / "retrain" / "test.json").write_text('{"accuracy"')
    assert retrain(tmp_path, trials, 5) == (winner, test)
    assert Here.ran == 7
    assert "test.json: damaged; the winner is tested again" in capsys.readouterr().out


def test_an_interrupted_retraining_resumes_after_the_search_has_continued(tmp_path):
    def interrupted(text, request):
        if Here.ran == 3:
            raise KeyboardInterrupt
        return long(text, request)

    trials = searched(tmp_path, 6)
    Here.ran = 0
    with pytest.raises(KeyboardInterrupt):
        retrain(tmp_path, trials, 4, interrupted)
    more = searched(tmp_path, 30)
    begun = {trial.hash for trial in read_trials(tmp_path / "retrain")}
    best = {trial.hash for trial in sorted(more, key=lambda trial: -trial.reward)[:4]}
    assert best - begun
    Here.ran = 0
    retrain(tmp_path, more, 4)
    trained = [trial.hash for trial in read_trials(tmp_path / "retrain")]
    assert set(trained) == begun | best
    assert len(trained) == len(set(trained))
    assert Here.ran == 1 + len(best - begun) + 1  # the interrupted training, the new ones, and the test


def test_the_front_can_be_retrained_instead_of_the_best(tmp_path):
    def priced(text, request):
        reward = reward_of(text, 0)
        return {"reward": reward, "metrics": {"mult_adds": 1 if reward < 0.5 else 2 if reward < 0.7 else 3}}

    trials = searched(tmp_path, 12, priced)
    by_cost = {cost: [trial for trial in trials if trial.metrics["mult_adds"] == cost] for cost in (1, 2, 3)}
    front = [max(group, key=lambda trial: trial.reward).hash for group in by_cost.values() if group]
    assert len(front) >= 2
    retrain(tmp_path, trials, 9, retrain_front=True)
    assert [trial.hash for trial in read_trials(tmp_path / "retrain")] == front[::-1]


def test_without_a_test_split_the_winner_is_not_tested(tmp_path):
    trials = searched(tmp_path, 3)
    Here.ran = 0
    identity = Identity()
    winner, test = retraining.retrain_top(tmp_path / "retrain", config(retrain_top=2), trials, long, None, identity)
    assert (Here.ran, test) == (2, {})
    assert winner.hash == genotype_hash(load_genotype(str(tmp_path / "retrain" / "winner.textproto")))


def test_nothing_to_retrain_is_reported(tmp_path):
    with pytest.raises(InputError, match="nothing to retrain, because no trial of the search has a measured reward"):
        retrain(tmp_path, [], 3)
    trials = searched(tmp_path, 3)
    with pytest.raises(InputError, match="none of the 2 architectures could be trained"):
        retrain(tmp_path, trials, 2, lambda text, request: {"infeasible": "diverged"})


def test_a_given_order_resumes_from_its_state():
    before = given.GivenOrder([(0,), (1,), (2,)])
    before.propose()
    after = given.GivenOrder([(0,), (1,), (2,), (3,)])
    after.restore(before.state())
    assert after.propose().decisions == (1,)
    with pytest.raises(InputError, match="state of GivenOrder: expected bytes that state"):
        after.restore(before.state()[:-1])
    assert after.propose().decisions == (2,)


def test_other_bindings_start_another_retraining(tmp_path, capsys):
    trials = searched(tmp_path, 6)
    winner, _ = retrain(tmp_path, trials, 2)
    before = (tmp_path / "retrain" / "journal.jsonl").read_bytes()
    other, _ = retrain(tmp_path, trials, 3, evaluate=short, epochs=20)
    assert "retrain-2: started a new retraining, because retrain has other bindings" in capsys.readouterr().out
    assert other.hash == genotype_hash(load_genotype(str(tmp_path / "retrain-2" / "winner.textproto")))
    assert (tmp_path / "retrain" / "journal.jsonl").read_bytes() == before
    ran = Here.ran
    assert retrain(tmp_path, trials, 2)[0].hash == winner.hash
    assert retrain(tmp_path, trials, 3, evaluate=short, epochs=20)[0].hash == other.hash
    assert Here.ran == ran
    assert [folder.name for folder in retraining.folders(tmp_path)] == ["retrain", "retrain-2"]


def test_predicted_rewards_are_not_retrained(tmp_path):
    def stopped(text, request):
        reward = reward_of(text, 0)
        return {"reward": reward, "metrics": {"stopped_epoch": 1} if reward > 0.5 else {}}

    trials = searched(tmp_path, 10, stopped)
    measured = [trial.hash for trial in sorted(trials, key=lambda trial: -trial.reward) if trial.reward <= 0.5]
    assert 2 <= len(measured) < 9
    retrain(tmp_path, trials, 9)
    assert [trial.hash for trial in read_trials(tmp_path / "retrain")] == measured
    best = load_genotype(str(tmp_path / "best.textproto"))
    assert genotype_hash(best) == measured[0]
