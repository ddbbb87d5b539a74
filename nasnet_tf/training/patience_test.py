"""Tests of trainings that stop when validation no longer improves, and that resume exactly after an interruption."""

import dataclasses

import pytest

from nasnet_tf.base.errors import InputError, TrainingInterrupted
from nasnet_tf.testing import terminated_at
from nasnet_tf.training import loop
from nasnet_tf.training.checkpoints import Checkpoints
from nasnet_tf.training.loop_test import CONFIG, assert_same_weights, dense, rows_without_speed, train
from nasnet_tf.training.metrics_log import read_metrics, read_stopped
from nasnet_tf.training.patience import Patience

STOPPED = "stopped early: no improvement in 2 evaluations; the best score was"
# The network does not learn: its accuracy is the same at every evaluation.
STILL = dataclasses.replace(CONFIG, epochs=6, patience=2, ema_decay=None, weight_decay=0.0)


def still(workdir, config=STILL):
    return train(workdir, config, network=dense, rate=1e-30)


def test_evaluations_are_counted_and_a_state_can_be_restored():
    patience = Patience(2)
    for step, (score, is_over) in enumerate([(0.5, False), (0.4, False), (0.6, False), (0.6, False), (0.6, True)]):
        other = Patience(2)
        other.restore(patience.state)
        patience = other
        patience.note(score, step)
        assert patience.is_over == is_over
    assert str(patience) == f"{STOPPED} 0.6000, at step 2"
    never = Patience(None)
    for step in range(9):
        never.note(0.0, step)
    assert not never.is_over


def test_a_training_stops_reports_it_and_does_not_start_again(tmp_path, capsys):
    model, evaluation = still(tmp_path)
    rows = rows_without_speed(tmp_path)
    assert [row["step"] for row in rows if row["kind"] == "evaluation"] == [5, 10, 15]
    assert rows[-1]["stopped"].startswith(STOPPED)
    assert read_stopped(tmp_path) == rows[-1]["stopped"]
    assert f"training {STOPPED} {evaluation.accuracy:.4f}, at step 5" in capsys.readouterr().err
    again, other = still(tmp_path)
    assert_same_weights(model, again)
    assert (rows_without_speed(tmp_path), other) == (rows, evaluation)
    assert STOPPED in capsys.readouterr().err
    still(tmp_path, dataclasses.replace(STILL, patience=3))  # more patience resumes the training
    assert [row["step"] for row in read_metrics(tmp_path) if row["kind"] == "evaluation"] == [5, 10, 15, 20]


def test_a_training_that_was_interrupted_stops_at_the_same_step(tmp_path, monkeypatch):
    model, _ = still(tmp_path / "whole")
    for step in (6, 11):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "TrainStep", terminated_at(step))
            with pytest.raises(TrainingInterrupted):
                still(tmp_path / "parts")
    resumed, _ = still(tmp_path / "parts")
    assert_same_weights(model, resumed)
    assert rows_without_speed(tmp_path / "parts") == rows_without_speed(tmp_path / "whole")


def test_a_work_folder_of_a_version_without_patience_can_be_resumed(tmp_path, monkeypatch):
    config = dataclasses.replace(STILL, patience=None)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrainStep", terminated_at(6))
        begin = Checkpoints.__init__

        def begin_as_before(self, *arguments):
            begin(self, *arguments)
            self._checkpoint = loop.tf.train.Checkpoint(**self._parts)

        patch.setattr(Checkpoints, "__init__", begin_as_before)
        with pytest.raises(TrainingInterrupted):
            still(tmp_path, config)
    still(tmp_path)
    assert [row["step"] for row in read_metrics(tmp_path) if row["kind"] == "evaluation"] == [5, 10, 15, 20]


def test_patience_needs_something_to_watch():
    with pytest.raises(InputError, match="TrainingConfig.patience: expected None if evaluation_split is None, got 2"):
        dataclasses.replace(CONFIG, patience=2, evaluation_split=None)
