"""Checks NASNetHyperModel and NASNetOracle in KerasTuner: the networks, the proposals, and exact reloads."""

import functools
import math
import random

import keras
import keras_tuner
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.tuning.architectures import NASNetHyperModel, NASNetOracle, decision_choices, decisions_of, values_of

SPACE = SearchSpace(num_blocks=1, operations=("IDENTITY", "CONV_1X1", "MAX_POOL_3X3"))
NETWORK = NetworkConfig(cells_per_stack=1, stem="cifar", stem_multiplier=1.0, filters=2)
STRATEGIES = {"ppo": functools.partial(PPOSearch, seed=3, minibatch=2, hidden_units=8), "random": functools.partial(RandomSearch, seed=3)}


def hypermodel():
    return NASNetHyperModel(SPACE, NETWORK, num_classes=3, image_size=8, optimizer=lambda: keras.optimizers.SGD(0.1))


def oracle(folder, strategy="random", direction="max", seed=3, max_trials=5):
    make = functools.partial(STRATEGIES[strategy], seed=seed)
    result = NASNetOracle(make, SPACE, objective=keras_tuner.Objective("val_accuracy", direction), max_trials=max_trials)
    result.verbose = 0
    result._set_project_dir(str(folder), "project")
    return result


def end(asked, trial, value):
    asked.update_trial(trial.trial_id, {"val_accuracy": value})
    trial.status = "COMPLETED"
    asked.end_trial(trial)


def reward(trial):
    return sum(decisions_of(SPACE, trial.hyperparameters.values)) / 10


@pytest.mark.parametrize("space", [SPACE, SearchSpace(), SearchSpace(num_blocks=4, num_input_states=4, outputs="each_block")])
def test_decisions_survive_as_hyperparameters(space):
    choices = decision_choices(space)
    assert tuple(map(len, choices.values())) == space.sizes
    decisions = space.sample(random.Random(1))
    values = values_of(space, decisions)
    assert decisions_of(space, values) == decisions
    genotype = space.decode(decisions)
    assert values["reduction_cell.block_0.right_input"] == genotype.reduction_cell.blocks[0].right.input
    operation = type(genotype).DESCRIPTOR.file.enum_types_by_name["Operation"].values_by_number
    assert values["normal_cell.block_0.left_operation"] == operation[genotype.normal_cell.blocks[0].left.operation].name


def test_a_fixed_cell_has_no_decisions():
    space = SearchSpace(fixed_normal="nasnet_a")
    assert tuple(map(len, decision_choices(space).values())) == space.sizes


def test_hypermodel_builds_the_network_of_its_values():
    decisions = SPACE.sample(random.Random(2))
    hp = keras_tuner.HyperParameters()
    hp.values = values_of(SPACE, decisions)
    model = hypermodel().build(hp)
    assert [choice.name for choice in hp.space] == list(decision_choices(SPACE))
    assert model.jit_compile is False
    expected = build_network(SPACE.decode(decisions), NETWORK, 3, 8)
    assert [(weight.path, weight.shape) for weight in model.weights] == [(weight.path, weight.shape) for weight in expected.weights]
    with pytest.raises(InputError, match="auxiliary"):
        NASNetHyperModel(SPACE, NetworkConfig(1, "cifar", 1.0, filters=2, auxiliary_head=True), 3, 8, keras.optimizers.SGD)


def test_a_tuner_of_keras_tuner_continues_a_folder(tmp_path):
    """Runs a trial, then a second one with a new tuner on the folder of the first."""
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(-1, 1, (12, 8, 8, 3)).astype("float32"), np.arange(12) % 3
    for max_trials in (1, 2):
        tuner = keras_tuner.Tuner(oracle(tmp_path, max_trials=max_trials), hypermodel(), directory=str(tmp_path), project_name="project")
        tuner.search(images, labels, validation_data=(images, labels), batch_size=6, verbose=0)
    strategy = RandomSearch(SPACE, seed=3)
    trials = [tuner.oracle.trials[str(number)] for number in range(2)]
    assert [decisions_of(SPACE, trial.hyperparameters.values) for trial in trials] == [strategy.propose().decisions for _ in trials]
    assert all(trial.status == "COMPLETED" and 0 <= trial.score <= 1 for trial in trials)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_reload_is_exact(strategy, tmp_path):
    """An oracle that is reloaded after each trial, while the next one runs, equals one that was never reloaded."""
    whole = oracle(tmp_path / "whole", strategy)
    seen = []
    while (trial := whole.create_trial("a")).status == "RUNNING":
        seen.append(trial.hyperparameters.values)
        end(whole, trial, reward(trial))
    assert len(seen) == 5
    again = []
    for number in range(5):
        part = oracle(tmp_path / "part", strategy)
        if number:
            part.reload()
        trial = part.create_trial("a")  # the previous oracle had proposed it, except for the first one
        again.append(trial.hyperparameters.values)
        end(part, trial, reward(trial))
        part.create_trial("a")
    assert again == seen
    rewards = [call["reward"] for call in part.get_state()["calls"] if "reward" in call]
    assert rewards == [reward(trial) for trial in whole.trials.values()]
    assert part._strategy.diagnostics() == whole._strategy.diagnostics()
    assert strategy != "ppo" or whole._strategy.diagnostics()["updates"] == 2


def test_only_finite_scores_of_completed_trials_are_rewarded(tmp_path):
    asked = oracle(tmp_path, direction="min")
    end(asked, asked.create_trial("a"), 0.25)
    end(asked, asked.create_trial("a"), math.nan)
    failed = asked.create_trial("a")
    failed.status = "FAILED"
    asked.end_trial(failed)
    assert [call for call in asked.get_state()["calls"] if "reward" in call] == [{"trial": "0", "reward": -0.25}]


def test_reload_after_a_kill_between_two_writes(tmp_path):
    """An ended trial is not run again. A trial that is missing in the oracle's state is proposed again."""
    asked = oracle(tmp_path)
    end(asked, asked.create_trial("a"), 0.5)
    path = tmp_path / "project" / "oracle.json"
    before = path.read_text()
    lost = asked.create_trial("a")
    path.write_text(before)
    asked = oracle(tmp_path)
    asked.reload()
    trial = asked.create_trial("a")
    assert (trial.trial_id, trial.hyperparameters.values) == (lost.trial_id, lost.hyperparameters.values)


def test_reload_with_another_strategy_is_refused(tmp_path):
    asked = oracle(tmp_path)
    end(asked, asked.create_trial("a"), 0.5)
    with pytest.raises(InputError, match="trial 0 differs from what this strategy proposes"):
        oracle(tmp_path, seed=4).reload()
