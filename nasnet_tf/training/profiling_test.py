"""Tests of profiles of a training's steps."""

import dataclasses
import importlib

import numpy as np
import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from nasnet_tf.base.errors import InputError
from nasnet_tf.training import distribution, loop, loop_test, profiling
from nasnet_tf.training.optimizers import RMSProp
from nasnet_tf.training.schedules import cosine_decay

DATA = dataclasses.replace(loop_test.DATA, train_split="train[:80]")


def train(workdir, profile_steps=None, steps_per_call=1):
    """Trains eight steps; returns the weights."""
    config = loop.TrainingConfig(epochs=2, batch_size=16, evaluation_split=None, steps_per_call=steps_per_call)
    model, _ = loop.train_and_evaluate(
        loop_test.dense, DATA, RMSProp, cosine_decay(0.1), config, workdir, None, False, profile_steps=profile_steps
    )
    return [weight.numpy() for weight in model.weights]


def profiled_calls(workdir):
    """Returns the numbers of steps done before each call in the only profile."""
    (path,) = (workdir / "logs" / "plugins" / "profile").glob("*/*.xplane.pb")
    calls = set()
    for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes:
        for event in (event for line in plane.lines for event in line.events if plane.event_metadata[event.metadata_id].name == "train"):
            values = {plane.stat_metadata[stat.metadata_id].name: stat for stat in event.stats}
            if "step_num" in values:
                calls.add(max(values["step_num"].int64_value, values["step_num"].uint64_value))
    return sorted(calls)


@pytest.mark.parametrize(("steps_per_call", "calls"), [(1, [2, 3, 4]), (4, [0, 4])])
def test_a_profile_shows_the_calls_of_its_steps_and_changes_no_weights(tmp_path, capfd, steps_per_call, calls):
    plain = train(tmp_path / "plain", None, steps_per_call)
    profiled = train(tmp_path / "profiled", (2, 5), steps_per_call)
    assert profiled_calls(tmp_path / "profiled") == calls
    assert f"profile: {tmp_path / 'profiled' / 'logs'}" in capfd.readouterr().err
    assert not (tmp_path / "plain" / "logs" / "plugins").exists()
    for weight, other in zip(plain, profiled, strict=True):
        np.testing.assert_array_equal(weight, other)
    # The training is finished, so there is nothing to profile. profile_steps is not part of the folder's identity.
    train(tmp_path / "plain", (2, 5), steps_per_call)
    assert not (tmp_path / "plain" / "logs" / "plugins").exists()


def test_only_the_chief_profiles(tmp_path, monkeypatch):
    monkeypatch.setattr(distribution, "is_chief", lambda: False)
    monkeypatch.setattr(profiling.StepProfile, "_start", lambda self: pytest.fail("another worker profiles"))
    train(tmp_path, (2, 5))


def test_a_profile_that_cannot_be_made_does_not_end_the_training(tmp_path, capfd):
    profile = profiling.StepProfile((0, 2), tmp_path)
    other = profiling.StepProfile((0, 2), tmp_path / "other")
    with profile.of(range(1)), other.of(range(1)):
        pass
    other.close()
    profile.close()
    assert capfd.readouterr().err.splitlines()[0].startswith("no profile: ")
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
    assert not (tmp_path / "other" / "plugins").exists()


@pytest.mark.parametrize("steps", [(5, 5), (7, 3), (2, 9), (8, 10)])
def test_steps_that_do_not_exist_are_refused(tmp_path, steps):
    with pytest.raises(InputError, match=f"profile_steps: expected .* up to the last step 8, got {steps[0]},{steps[1]}"):
        train(tmp_path / "run", steps)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["100", "a,b", "1,2,3", "-1,2", "1.5,2"])
def test_the_flag_takes_two_numbers(monkeypatch, text):
    class Flags:
        profile_steps = text

    door = importlib.import_module("nasnet_tf.train")
    monkeypatch.setattr(door.flags, "FLAGS", Flags)
    with pytest.raises(InputError, match=f"--profile_steps: expected two step numbers such as 100,120, got '{text}'"):
        door._profile_steps()
