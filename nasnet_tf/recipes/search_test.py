"""Checks that the bindings of a recipe reach the search."""

import dataclasses
import pickle
from unittest import mock

import gin
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import format_genotype, load_genotype
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import build_network
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.nas.children.objectives import WithObjective
from nasnet_tf.nas.children.shared_weights import SharedWeights
from nasnet_tf.recipes import children, reading, search, table
from nasnet_tf.testing import made_by_gin, parse_shipped


def job(config_text=""):
    """Returns the search job that the bindings describe."""
    return search.search_job(made_by_gin("search"), config_text)


def test_seeds_objective_and_limits_are_bound(tmp_path, monkeypatch):
    seen = {}

    def begin_search(workdir, config, evaluate, identity, take_over, scalars):
        seen.update(config=config, evaluate=evaluate, identity=identity)
        return []

    monkeypatch.setattr(search, "run_search", begin_search)
    lines = [
        "search.strategy = @Prescreened",
        "Prescreened.strategy = @RegularizedEvolution",
        "Prescreened.seed = 3",
        "RegularizedEvolution.seed = 0",
        "search.seeds = ['nasnet_a']",
        "search.objective = @CostReward()",
        "CostReward.target = 3e6",
        "search.max_hours = 8",
        "search.max_child_hours = 12.5",
        "search.child_watts = 65.0",
        "search.evaluator = None",
        "search.halving = @SuccessiveHalving()",
        "SearchSpace.fixed_reduction = 'nasnet_a'",
    ]
    parse_shipped("quickstart_search.gin")
    gin.parse_config(lines)
    assert list(table.mistakes([line.split(" = ")[0] for line in lines])) == []
    job()(tmp_path)
    config = seen["config"]
    assert (config.max_trainings, config.max_hours, config.max_child_hours) == (None, 8, 12.5)
    assert (config.child_watts, config.child_hour_price, config.halving.eta) == (65.0, None, 3)
    strategy = config.new_strategy()
    assert len(strategy.propose().decisions) == 25
    genotype = config.space.decode(strategy.propose().decisions)
    assert genotype.reduction_cell == load_genotype("nasnet_a").reduction_cell
    assert "fixed reduction_cell" in seen["identity"].values
    assert pickle.loads(pickle.dumps(WithObjective(seen["evaluate"], config.objective)))._objective.target == 3e6
    gin.parse_config("search.take_over = ['" + str(tmp_path) + "']")
    with pytest.raises(InputError, match=r"search.take_over: expected work folders of other searches"):
        job()(tmp_path)


def test_a_mistake_in_a_search_leaves_nothing_behind(tmp_path):
    parse_shipped("quickstart_search.gin")
    gin.parse_config(["search.engine = @RayTasks", "RayTasks.address = '127.0.0.1:1'"])
    with pytest.raises(InputError, match="no cluster at 127.0.0.1:1"):
        job()(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_scores_are_equal_in_all_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["search.evaluator = @ZeroCost()", "ZeroCost.network = @NetworkConfig()", "ZeroCost.data = @ImageData()"]
    lines += ["ZeroCost.proxy = 'synflow'", "ZeroCost.batch_size = 8", "SearchSpace.num_blocks = 1", "search.num_trials = 2"]
    text = reading.parse_gin(["quickstart_search.gin"], [*lines, "NetworkConfig.filters = 4", "NetworkConfig.cells_per_stack = 1"])
    trials, _ = job(text)(tmp_path / "run")
    score = made_by_gin("ZeroCost")
    for trial in trials:
        assert trial.metrics["synflow"] == trial.reward == pytest.approx(score(trial.text)["reward"], rel=1e-4)
    assert len({trial.reward for trial in trials}) == 2


def test_the_evaluator_is_bound(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        search, "run_search", lambda workdir, config, evaluate, *more, **most: seen.update(config=config, task=evaluate) or []
    )
    monkeypatch.setattr(SharedWeights, "train", lambda self, workdir: 12.5)
    lines = ["search.evaluator = @SharedWeights()", "SharedWeights.space = @SearchSpace()", "SharedWeights.network = @NetworkConfig()"]
    lines += ["SharedWeights.data = @ImageData()", "SharedWeights.training = @shared/TrainingConfig()", "shared/TrainingConfig.epochs = 30"]
    lines += ["SharedWeights.learning_rate = @cosine_decay()"]
    parse_shipped("quickstart_search.gin")
    gin.parse_config(lines)
    assert list(table.mistakes([line.split(" = ")[0] for line in lines])) == []
    job()(tmp_path)
    config = seen["config"]
    assert isinstance(config.evaluator, SharedWeights)
    assert seen["task"]._evaluator is config.evaluator
    assert config.evaluator.prepare(tmp_path) == ("shared weights", 12.5)
    engine = mock.Mock()
    dataclasses.replace(config, engine=engine).new_engine()
    engine.assert_called_once_with(keep_processes=True)
    gin.parse_config("search.halving = @SuccessiveHalving()")
    with pytest.raises(InputError, match="search.evaluator: cannot be combined"):
        job()


def test_proposals_stay_below_the_cap(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        search, "run_search", lambda workdir, config, evaluate, *rest, **more: seen.update(config=config, task=evaluate) or []
    )
    parse_shipped("quickstart_search.gin")
    gin.parse_config(["search.max_parameters = 60e3", "search.cap_scope = 'retrain'", "retrain/NetworkConfig.filters = 6"])
    job()(tmp_path)
    strategy, space = seen["config"].new_strategy(), seen["config"].space
    with gin.config_scope("retrain"):
        child = table.bound("evaluate_genotype")()
    for _ in range(3):
        genotype = space.decode(strategy.propose().decisions)
        network = build_network(genotype, child.network, child.data.num_classes, child.data.image_size)
        assert count_costs(network).trainable_parameters <= 60e3


def test_an_architecture_that_is_too_slow_is_infeasible_before_it_trains(monkeypatch):
    parse_shipped("quickstart_search.gin")
    genotype = format_genotype(load_genotype("nasnet_a"))
    trained = []

    def task(text, request):
        trained.append(text)
        return {"reward": 0.5}

    for seconds, limit in ((0.2, 0.1), (0.05, 0.1)):
        monkeypatch.setattr(children, "latency_seconds", lambda model, seconds=seconds: seconds)
        outcome = children.WithinLatency(task, gin.config_str(), "", limit)(genotype)
    assert trained == [genotype]
    assert outcome == {"reward": 0.5}
    monkeypatch.setattr(children, "latency_seconds", lambda model: 0.2)
    outcome = children.WithinLatency(task, gin.config_str(), "", 0.1)(genotype)
    assert outcome == {"infeasible": "an inference takes 0.2 s on this machine, more than search.max_latency_seconds = 0.1"}
    assert children.WithinLatency(task, gin.config_str(), "", 0.1)(genotype, Request(rung=1)) == {"reward": 0.5}
