"""Checks the tuning loop with a formula instead of trainings: interruptions, kills, failures, and the files that it writes."""

import functools
import shutil
import signal
import subprocess
import sys

import keras_tuner
import pytest

from nasnet_tf.base.errors import InputError, TrainingDiverged
from nasnet_tf.tuning import tuner
from nasnet_tf.tuning.results import best_trial, format_table

BINDINGS = {"cosine_decay.initial_rate": "0.1", "NetworkConfig.drop_path_rate": "0.0", "TrainingConfig.epochs": "4"}
RANGES = {"cosine_decay.initial_rate": ("float", 1e-3, 1e-1, "log"), "NetworkConfig.drop_path_rate": ("choice", [0.0, 0.2, 0.4])}
ORACLES = {
    "random": functools.partial(keras_tuner.oracles.RandomSearchOracle, max_trials=6),
    "grid": functools.partial(keras_tuner.oracles.GridSearchOracle, max_trials=6),
    "bayesian": functools.partial(keras_tuner.oracles.BayesianOptimizationOracle, max_trials=3, num_initial_points=2),
    "hyperband": functools.partial(keras_tuner.oracles.HyperbandOracle, max_epochs=4, factor=2),
}


def formula(bindings):
    rate, drop, epochs = (float(bindings[name]) for name in BINDINGS)
    return 1 - abs(rate - 0.02) - abs(drop - 0.2) - 0.1 / epochs


class Training:
    """Returns the value of the formula and records each call; raises KeyboardInterrupt at call number `interrupted_at`."""

    def __init__(self, interrupted_at=None):
        self.calls, self._interrupted_at = [], interrupted_at

    def __call__(self, folder, bindings):
        if len(self.calls) == self._interrupted_at:
            raise KeyboardInterrupt
        self.calls.append((folder.name, dict(bindings)))
        return formula(bindings)


def tune(workdir, oracle, train, **changes):
    arguments = {"bindings": BINDINGS, "ranges": RANGES} | changes
    made = tuner.make_oracle(oracle=ORACLES[oracle], **{"seed": 1} | arguments)
    arguments.pop("seed", None)
    return tuner.tune(workdir, oracle=made, train=train, **arguments)


@pytest.mark.parametrize("oracle", ORACLES)
def test_an_interrupted_tuning_equals_an_uninterrupted_one(oracle, tmp_path):
    whole = Training()
    trials = tune(tmp_path / "whole", oracle, whole)
    assert len(trials) == len(whole.calls) >= 3
    calls = []
    for interrupted_at in (1, 1, None):
        part = Training(interrupted_at)
        if interrupted_at is None:
            assert tune(tmp_path / "parts", oracle, part) == trials
        else:
            with pytest.raises(KeyboardInterrupt):
                tune(tmp_path / "parts", oracle, part)
        calls += part.calls
    assert calls == whole.calls  # each training runs exactly once
    for name in ("results.md", "best.gin"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_hyperband_sets_the_epochs(tmp_path):
    trials = tune(tmp_path, "hyperband", Training())
    assert {trial.bindings["TrainingConfig.epochs"] for trial in trials} == {"1", "2", "4"}
    assert "TrainingConfig.epochs = 4\n" in (tmp_path / "best.gin").read_text()
    with pytest.raises(InputError, match="TrainingConfig.epochs: cannot be tuned"):
        tune(tmp_path / "both", "hyperband", Training(), ranges={"TrainingConfig.epochs": ("int", 1, 4)})


def test_results_list_the_trials_best_first(tmp_path):
    trials = tune(tmp_path, "random", Training())
    best = max(trials, key=lambda trial: formula(trial.bindings))
    assert best_trial(trials) == best
    lines = (tmp_path / "best.gin").read_text().splitlines()
    assert lines[1:] == [f"{name} = {literal}" for name, literal in best.bindings.items()]
    table = (tmp_path / "results.md").read_text()
    assert table == format_table(trials)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["trial", *RANGES, "accuracy", "status"]
    assert rows[2][0] == str(best.number)
    assert [row[3] for row in rows[2:]] == sorted((f"{formula(trial.bindings):.4f}" for trial in trials), reverse=True)


def test_diverged_trials_fail_and_the_tuning_continues(tmp_path):
    """KerasTuner alone would stop after three failures in a row. Failed trials are not run again."""

    def train(folder, bindings):
        if int(folder.name) < 4:
            raise TrainingDiverged("the loss is nan at step 3 (epoch 0.10), learning rate 9\n  In call to configurable 'train'")
        return formula(bindings)

    trials = tune(tmp_path, "random", train)
    assert [trial.accuracy is None for trial in trials] == [True] * 4 + [False] * 2
    assert trials[0].reason == "the loss is nan at step 3 (epoch 0.10), learning rate 9"
    assert "failed: the loss is nan at step 3" in (tmp_path / "results.md").read_text()
    assert tune(tmp_path, "random", Training(interrupted_at=0)) == trials


def test_a_tuning_without_successful_trials_has_no_best_one(tmp_path):
    def train(folder, bindings):
        raise TrainingDiverged("the loss is inf")

    trials = tune(tmp_path, "hyperband", train)
    assert best_trial(trials) is None
    assert not (tmp_path / "best.gin").exists()


def test_other_errors_end_the_tuning(tmp_path):
    def train(folder, bindings):
        raise InputError("ImageData.source: no such folder")

    with pytest.raises(InputError, match="no such folder"):
        tune(tmp_path, "random", train)
    assert len(tune(tmp_path, "random", Training())) == 6


def test_mistakes_are_refused(tmp_path):
    for seed in (0, None, True):
        with pytest.raises(InputError, match="tune.seed: expected an integer of 1 or more"):
            tune(tmp_path, "random", Training(), seed=seed)
    with pytest.raises(InputError, match="TrainingConfig.evaluation_split: expected 'validation'"):
        tune(tmp_path, "random", Training(), bindings=BINDINGS | {"TrainingConfig.evaluation_split": "'test'"})
    with pytest.raises(InputError, match="tune.oracle: factor needs to be"):
        tuner.make_oracle(BINDINGS, RANGES, functools.partial(keras_tuner.oracles.HyperbandOracle, factor=1), 1)
    assert not list(tmp_path.iterdir())
    tune(tmp_path, "random", Training())
    with pytest.raises(InputError, match="0000/config.gin: differs from what this tuning proposes"):
        tune(tmp_path, "random", Training(), seed=2)


def test_bindings_that_older_trials_lack_have_their_defaults(tmp_path):
    trials = tune(tmp_path, "random", Training())
    asked = tuner.make_oracle(BINDINGS, RANGES, ORACLES["random"], 1)
    more = BINDINGS | {"NetworkConfig.batch_norm_momentum": "0.9997"}
    again = Training()
    found = tuner.tune(tmp_path, more, RANGES, asked, again, default={"NetworkConfig.batch_norm_momentum": "0.9997"}.get)
    assert [trial.accuracy for trial in found] == [trial.accuracy for trial in trials]
    assert not again.calls


def test_bindings_that_do_not_affect_results_may_change(tmp_path):
    trials = tune(tmp_path, "random", Training())
    shutil.copytree(tmp_path / "trials" / "0001", tmp_path / "trials" / "0001-old")  # a copy that somebody made
    more, again = BINDINGS | {"ImageData.data_dir": "'/data'"}, Training()
    asked = functools.partial(tuner.make_oracle, more, RANGES, ORACLES["random"], 1)
    with pytest.raises(InputError, match="ImageData.data_dir was .*None, is '/data'|ImageData.data_dir was not bound"):
        tuner.tune(tmp_path, more, RANGES, asked(), again)
    may_change = ("ImageData.data_dir", "cosine_decay.*")
    found = tuner.tune(tmp_path, more, RANGES, asked(), again, may_change=may_change)
    assert [trial.accuracy for trial in found] == [trial.accuracy for trial in trials]
    assert not again.calls
    with pytest.raises(InputError, match="cosine_decay.initial_rate was"):  # it is tuned
        tuner.tune(tmp_path, more, RANGES, tuner.make_oracle(more, RANGES, ORACLES["random"], 2), again, may_change=may_change)


@pytest.mark.parametrize("damaged", ["{", "[]", '{"acc": 1}', '{"accuracy": "a"}'])
def test_a_damaged_result_is_reported(tmp_path, damaged):
    tune(tmp_path, "random", Training())
    (tmp_path / "trials" / "0002" / "result.json").write_text(damaged)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match='0002/result.json: damaged; expected {"accuracy": number} or {"reason": text}, got'):
        tune(tmp_path, "random", Training())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


KILLED = """
import os, pathlib, signal, sys
from nasnet_tf.tuning import tuner_test

def train(folder, bindings):
    if folder.name == "0002":
        os.kill(os.getpid(), signal.SIGKILL)
    return tuner_test.formula(bindings)

tuner_test.tune(pathlib.Path(sys.argv[1]), "grid", train)
"""


def test_a_killed_tuning_resumes(tmp_path):
    """The process is killed in its third trial, and all files that KerasTuner wrote are cut in half."""
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "killed")]
    assert subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == -signal.SIGKILL
    written = list((tmp_path / "killed" / "keras_tuner").rglob("*.json"))
    assert len(written) == 4
    for path in written:
        path.write_text(path.read_text()[: path.stat().st_size // 2])
    rest = Training()
    trials = tune(tmp_path / "killed", "grid", rest)
    assert [name for name, _ in rest.calls] == ["0002", "0003", "0004", "0005"]
    assert trials == tune(tmp_path / "whole", "grid", Training())
