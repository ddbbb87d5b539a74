"""Tests of children that resume at the next rung of successive halving."""

import json

import pytest

from nasnet_tf.data import ImageData
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.nas.children.evaluator import ChildTraining
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.testing import smallest_genotype
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.training.schedules import cosine_decay

NETWORK = NetworkConfig(1, "cifar", 3.0, filters=2, batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
DATA = ImageData("digits", PngPreprocessing(8, upsample=1.0, flip=False), train_split="train[:48]", validation_examples=16)
CONFIG = TrainingConfig(2, 16, gradient_clip_norm=1.0, evaluate_every_epochs=1)


def trained(share, folder, image_size=None, **more):
    training = ChildTraining(NETWORK, DATA, Momentum, cosine_decay(0.05), CONFIG, **more)
    return training(smallest_genotype(), Request(None, share, folder, image_size, rung=0))


def test_a_resumed_child_ends_as_if_it_had_never_been_stopped(tmp_path):
    whole = trained(1.0, tmp_path / "whole", measure_latency=True)
    first = trained(0.5, tmp_path / "stages")
    again = trained(0.5, tmp_path / "stages")  # killed after its checkpoint: nothing is left to train
    assert first["reward"] == again["reward"] == whole["metrics"]["curve"][0] == pytest.approx(first["metrics"]["curve"][0])
    assert first["metrics"]["epochs"] == 1
    last = trained(1.0, tmp_path / "stages")
    assert last["metrics"]["loss"] == whole["metrics"]["loss"]
    assert last["reward"] == whole["reward"]
    assert last["metrics"]["curve"] == whole["metrics"]["curve"]
    assert len(last["metrics"]["curve"]) == 2
    assert 0 < whole["metrics"]["latency_seconds"] < 60
    assert "latency_seconds" not in last["metrics"]


def test_a_rung_may_have_smaller_images(tmp_path):
    small = trained(0.5, tmp_path / "stages", 4)
    assert json.loads((tmp_path / "stages" / "data.json").read_text())["preprocessing"]["image_size"] == 4
    last = trained(1.0, tmp_path / "stages")
    assert json.loads((tmp_path / "stages" / "data.json").read_text())["preprocessing"]["image_size"] == 8
    assert last["metrics"]["curve"][0] == pytest.approx(small["reward"])  # the first evaluation was on small images
    assert len(last["metrics"]["curve"]) == 2
    assert small["metrics"]["mult_adds"] == last["metrics"]["mult_adds"]
