"""Tests of objectives that include costs, and of the Pareto front."""

import functools
import pickle
import sys

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.nas.children.fidelity import TO_THE_END
from nasnet_tf.nas.children.objectives import CostReward, WithObjective
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.pareto import pareto_front
from nasnet_tf.nas.trials.trial import Trial

SPACE = SearchSpace(num_blocks=2)
TEXT = format_genotype(SPACE.decode([0] * len(SPACE.sizes)))


def child(text: str, request=None) -> dict:
    return {"reward": 0.8, "metrics": {"mult_adds": 8e6, "parameters": 1e5, "curve": [0.5, 0.8]}}


def test_the_reward_is_that_of_mnasnet():
    outcome = WithObjective(child, CostReward(target=4e6))(TEXT, None)
    assert outcome["reward"] == pytest.approx(0.8 * 2**-0.07)
    assert outcome["metrics"] == {**child("")["metrics"], "accuracy": 0.8, "cost": 8e6}
    cheap = WithObjective(child, CostReward(target=2e5, cost="parameters", weight=-1.0))(TEXT)
    assert cheap["reward"] == pytest.approx(1.6)


def test_user_functions_as_cost_and_as_objective(tmp_path, monkeypatch):
    (tmp_path / "my_costs.py").write_text(
        "def seconds(genotype, metrics):\n    return 1.5 * len(genotype.normal_cell.blocks)\n"
        "def reward(genotype, accuracy, metrics):\n    return accuracy - metrics['parameters'] / 1e6\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cost = WithObjective(child, CostReward(target=3.0, cost="my_costs:seconds", weight=-1.0))
    assert pickle.loads(pickle.dumps(cost))(TEXT)["metrics"]["cost"] == 3.0
    assert WithObjective(child, "my_costs:reward")(TEXT)["reward"] == pytest.approx(0.7)
    with pytest.raises(InputError, match="search.objective: expected 'module:function', got 'my_costs:nothing'"):
        WithObjective(child, "my_costs:nothing")
    sys.modules.pop("my_costs")


def test_wrong_costs_are_refused():
    with pytest.raises(
        InputError, match="expected latency_seconds to give a positive number, got None; the metrics are mult_adds, parameters"
    ):
        WithObjective(child, CostReward(target=1.0, cost="latency_seconds"))(TEXT)
    with pytest.raises(InputError, match=r"CostReward.target: expected a positive number, got 0"):
        CostReward(target=0)
    with pytest.raises(InputError, match="CostReward.cost: no_such_module:f: No module named"):
        CostReward(target=1, cost="no_such_module:f")
    for wrong in ("./rewards.py:reward", ":reward"):
        with pytest.raises(InputError, match=f"search.objective: expected 'module:function', got '{wrong}'"):
            WithObjective(child, wrong)


def test_an_objective_gives_no_reward_to_children_without_one(tmp_path):
    def infeasible(text, request=None):
        return {"infeasible": "diverged"} if request is None else {"reward": float("nan")}

    wrapped = WithObjective(infeasible, CostReward(target=1.0))
    assert wrapped(TEXT) == {"infeasible": "diverged"}
    assert list(wrapped(TEXT, TO_THE_END)) == ["reward"]
    config = SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), InProcess, 2, objective=CostReward(target=4e6))
    trials = search(tmp_path, config, child)
    assert trials[0].reward == pytest.approx(0.8 * 2**-0.07)


def finished(number, reward, **metrics):
    return Trial(number, "", str(number), (), (), 0.0, "finished", reward, metrics=metrics)


def test_the_front_has_the_architectures_that_no_other_one_beats_in_both():
    trials = [
        finished(0, 0.5, mult_adds=10),
        finished(1, 0.6, mult_adds=20),
        finished(2, 0.55, mult_adds=30),  # beaten by 1
        finished(3, 0.6, mult_adds=20),  # the same as 1, later
        finished(4, 0.9, mult_adds=5, stopped_epoch=1.0),  # predicted
        finished(5, 0.7, mult_adds=40),
        finished(6, 0.5, mult_adds=15),  # as accurate as 0, at a higher cost
        finished(7, 0.95),  # without costs
    ]
    assert [trial.number for trial in pareto_front(trials)] == [0, 1, 5]
    own = [finished(0, 0.1, accuracy=0.9, cost=2, mult_adds=1), finished(1, 0.2, accuracy=0.8, cost=3, mult_adds=0)]
    assert [trial.number for trial in pareto_front(own)] == [0]
