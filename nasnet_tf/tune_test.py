"""Tests of the command tune as a person uses it, with real trainings."""

import json

import gin
import pytest

from nasnet_tf.base.errors import TrainingDiverged
from nasnet_tf.recipes import table, tuning
from nasnet_tf.testing import TINY_TEXT, fork_door
from nasnet_tf.training import loop
from nasnet_tf.training.metrics_log import read_metrics

TINY = {
    "train.genotype": "'tiny.textproto'",
    "NetworkConfig.filters": "4",
    "TrainingConfig.epochs": "1",
    "TrainingConfig.gradient_clip_norm": "None",
    "ImageData.train_split": "'train[:160]'",
    "ImageData.validation_examples": "32",
    "tune.oracle": "@GridSearchOracle",
    "tune.hyperparameters": "{'cosine_decay.initial_rate': ('choice', [1e30, 0.1]), 'Momentum.momentum': ('choice', [0.9])}",
}


def test_tunes_and_trains_the_best(tmp_path):
    (tmp_path / "tiny.textproto").write_text(TINY_TEXT)
    params = [f"--gin_param={name}={value}" for name, value in TINY.items()]
    result = fork_door("tune", "--gin_file=quickstart_tune.gin", "--workdir=tune", *params, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    diverged, good = (json.loads((tmp_path / "tune" / "trials" / f"000{number}" / "result.json").read_text()) for number in range(2))
    assert "the loss is" in diverged["reason"]
    assert f"best: trial 1, validation accuracy {good['accuracy']:.4f}, tune/best.gin" in result.stdout
    assert (tmp_path / "tune" / "results.md").read_text() in result.stdout
    # The recipe gives the results of the trial, although the trial was the second in its process.
    result = fork_door("train", "--gin_file=tune/best.gin", "--workdir=best", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    trial, alone = (read_metrics(tmp_path / folder)[-1] for folder in ("tune/trials/0001", "best"))
    assert (alone["accuracy"], alone["loss"]) == (trial["accuracy"], trial["loss"])
    assert alone["accuracy"] == good["accuracy"]


def test_gin_does_not_change_the_type_of_a_divergence(tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise TrainingDiverged("the loss is nan")

    monkeypatch.setattr(loop, "train_and_evaluate", diverge)
    table.load()
    arguments = ("optimizer", "learning_rate", "training")
    network = {"cells_per_stack": "1", "stem": "'cifar'", "stem_multiplier": "1.0", "filters": "4"}
    bound = {"train.genotype": "'nasnet_a'", "train.network": "@NetworkConfig()"}
    bound |= {f"NetworkConfig.{name}": value for name, value in network.items()}
    bound |= {"train.data": "@ImageData()", "ImageData.source": "'digits'", "ImageData.preprocessing": "@CifarPreprocessing()"}
    bound |= {"CifarPreprocessing.image_size": "8", "CifarPreprocessing.upsample": "1.0"}
    with pytest.raises(TrainingDiverged, match="^the loss is nan$"):
        tuning.train_bound(tmp_path, {f"train.{name}": "None" for name in arguments} | bound)
    gin.clear_config()
