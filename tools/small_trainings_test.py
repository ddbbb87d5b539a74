"""Checks small trainings: their sizes, their data and the measurement of processor time."""

import argparse
import time

import pytest
import small_trainings as tool

ARGS = argparse.Namespace(source="digits", data_dir=None, validation_examples=16, batch_size=16, initial_rate=0.05)


def test_a_size_is_read_from_its_text():
    size = tool.Size.parse("0.5x12x8")
    assert size == tool.Size(0.5, 12, 8)
    assert str(size) == "0.5x12x8"
    assert str(tool.Size.parse("1x12x8x0.01")) == "1x12x8x0.01"
    for wrong in ("12x8", "1x12x8xfast", "1xtwelvex8"):
        with pytest.raises(ValueError, match="unpack|literal|convert"):
            tool.Size.parse(wrong)


def test_evaluates_on_held_out_images_or_on_the_test_split():
    network, data, training, rate = tool.small_training(ARGS, tool.Size(2, 8, 4), 64)
    assert (network.filters, data.image_size, training.epochs, training.batch_size) == (4, 8, 2, 16)
    assert (data.num_train_examples, data.num_examples("validation")) == (64, 16)
    assert rate(0, 2, 16) == pytest.approx(0.05)
    _, data, training, rate = tool.small_training(ARGS, tool.Size(2, 8, 4, 0.01), 64, is_tested=True, batch_size=32)
    assert (data.num_train_examples, training.batch_size) == (64, 32)
    assert rate(0, 2, 32) == pytest.approx(0.01)
    assert data.num_examples("validation") == data.num_examples("test") > 16


def test_processor_time_excludes_waiting():
    def evaluate(text, request):
        time.sleep(0.5)
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        return {"reward": 1.0, "metrics": {"mult_adds": 5}}

    outcome = tool.counted(evaluate, "", None)
    assert outcome["metrics"].pop("cpu_seconds") == pytest.approx(0.15, abs=0.06)
    assert outcome == {"reward": 1.0, "metrics": {"mult_adds": 5}}


def test_trainings_of_all_seeds_share_one_trace(monkeypatch):
    happened = []

    class Children:
        def __init__(self, space, *settings):
            happened.append((space, *settings))

        def trace(self):
            happened.append("traced")

        def with_seed(self, seed):
            return lambda text, request: {"reward": seed}

    monkeypatch.setattr("nasnet_tf.nas.children.space_training.SpaceChildren", Children)
    trainings = tool.Trainings("space", "settings")
    evaluators = [trainings.with_seed(seed) for seed in (3, 4)]
    assert happened == []  # a command whose journals are complete traces nothing
    assert [evaluate("text")["reward"] for evaluate in evaluators] == [3, 4]
    assert happened == [("space", "settings"), "traced"]
