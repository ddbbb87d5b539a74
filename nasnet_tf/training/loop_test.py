"""Tests of the training loop on the digits: exact resuming, best and last checkpoints, refusals, divergence."""

import dataclasses
import signal

import keras
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError, TrainingDiverged, TrainingInterrupted
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.data.sources_test import make_folder
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import smallest_genotype, terminated_at
from nasnet_tf.training import checkpoints, loop, work_folder
from nasnet_tf.training.corruption import CorruptImages
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.interruption import Interruption
from nasnet_tf.training.metrics_log import read_metrics
from nasnet_tf.training.optimizers import Momentum, RMSProp
from nasnet_tf.training.schedules import cosine_decay

DATA = ImageData("digits", PngPreprocessing(image_size=8, flip=False), train_split="train[:96]", validation_examples=16)
CONFIG = loop.TrainingConfig(
    epochs=2,
    batch_size=16,
    label_smoothing=0.1,
    weight_decay=1e-3,
    gradient_clip_norm=5.0,
    ema_decay=0.9,
    evaluate_every_epochs=1,
    log_every_steps=4,
    seed=3,
)
NETWORK = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)


def build(num_classes, image_size):
    return build_network(smallest_genotype(), NETWORK, num_classes, image_size)


def dense(num_classes, image_size):
    """Returns a network that is quick to trace, for tests that do not depend on the network."""
    images = keras.Input((image_size, image_size, 3), name="images")
    logits = keras.layers.Dense(num_classes, name="logits")(keras.layers.Flatten(name="flatten")(images))
    return keras.Model(images, logits, name="dense")


def train(workdir, config=CONFIG, network=build, optimizer=RMSProp, data=DATA, rate=0.1, strategy=None, goes_on=None):
    return loop.train_and_evaluate(network, data, optimizer, cosine_decay(rate), config, workdir, strategy, False, goes_on)


class Stop(Exception):
    """An exception that stands for a kill."""


def stop(*_):
    raise Stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns (work folder, model, evaluation) of a whole training; tests must not change them."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, *train(folder)


def assert_same_weights(model, other):
    for weight, same in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), same.numpy(), err_msg=weight.path)


def rows_without_speed(folder):
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in read_metrics(folder)]


def test_sigterm_saves_and_the_curve_resumes_bit_for_bit(whole, tmp_path, monkeypatch):
    """The stop is between two rows of metrics. Drop path, dropout, averages and augmentation resume too."""
    folder, model, _ = whole
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrainStep", terminated_at(2))
        with pytest.raises(TrainingInterrupted, match="stopped as requested at step 3 of 10; repeat the command to resume"):
            train(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    resumed, _ = train(tmp_path)
    assert_same_weights(model, resumed)
    assert rows_without_speed(tmp_path) == rows_without_speed(folder)
    assert [row["step"] for row in read_metrics(folder) if row["kind"] == "train"] == [4, 5, 8, 10]


def test_sigterm_during_a_call_of_several_steps(tmp_path, monkeypatch):
    model, _ = train(tmp_path / "one", network=dense)
    config = dataclasses.replace(CONFIG, steps_per_call=3)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrainStep", terminated_at(5))
        with pytest.raises(TrainingInterrupted, match="stopped as requested at step 8 of 10"):
            train(tmp_path / "three", config, network=dense)
    resumed, _ = train(tmp_path / "three", config, network=dense)
    assert_same_weights(model, resumed)
    assert rows_without_speed(tmp_path / "three") == rows_without_speed(tmp_path / "one")


def test_ctrl_c_saves_and_a_second_one_does_not_wait(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrainStep", terminated_at(2, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt, match="stopped as requested at step 3 of 10; repeat the command to resume"):
            train(tmp_path, network=dense)
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "checkpoints" / "last-3.index").is_file()
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_frozen_epochs_train_the_heads_only_then_all(tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, epochs=3, frozen_epochs=1, ema_decay=None)
    seen = []

    class Noted(loop.TrainStep):
        def __init__(self, state, *arguments):
            names = {variable.path.split("/")[0] for variable in state.model.trainable_variables}
            seen.append((names, [weight.numpy() for weight in state.model.weights]))
            super().__init__(state, *arguments)

    monkeypatch.setattr(loop, "TrainStep", Noted)
    model, _ = train(tmp_path / "whole", config)
    (heads, before), (everything, between) = seen
    assert heads == {"logits", "auxiliary_logits"}
    assert {"stem", "cell_0", "cell_2", "logits"} <= everything
    for weight, old, new in zip(model.weights, before, between, strict=True):
        is_head = weight.path.split("/")[0] in heads
        assert is_head or np.array_equal(old, new), weight.path
        assert not (weight.path == "logits/kernel" and np.array_equal(old, new))
        assert not np.array_equal(new, weight.numpy()) or "gamma" in weight.path or "beta" in weight.path, weight.path
    assert all(layer.trainable for layer in model.layers)
    # A training that is stopped at the end of the frozen epochs resumes with the same results.
    save = checkpoints.Checkpoints.save

    def save_and_stop(self, *arguments):
        save(self, *arguments)
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "save", save_and_stop)
        with pytest.raises(Stop):
            train(tmp_path / "cut", config)
    resumed, _ = train(tmp_path / "cut", config)
    assert_same_weights(model, resumed)


def test_work_folder_can_be_read_back(whole):
    folder, model, final = whole
    assert {path.name for path in (folder / "checkpoints").glob("*.index")} >= {"last-5.index", "last-10.index"}
    assert len(list((folder / "checkpoints").glob("best-*.index"))) == 1
    rows = read_metrics(folder)
    assert [row["step"] for row in rows if row["kind"] == "evaluation"] == [5, 10]
    assert rows[-1]["accuracy"] == final.accuracy
    assert {"loss", "accuracy", "learning_rate", "images_per_second", "regularization"} <= set(rows[0])
    raw, _ = work_folder.read_description(folder)
    checkpoints.load_trained(folder, raw, "last", use_ema=False)
    unaveraged = Evaluator(raw).on_split(DATA, "validation", 16)
    assert (rows[-1]["raw_accuracy"], rows[-1]["raw_loss"]) == pytest.approx((unaveraged.accuracy, unaveraged.loss), rel=1e-5)

    for policy, computes in ((None, "float32"), ("mixed_bfloat16", "bfloat16")):
        computing, _ = work_folder.read_description(folder, policy)
        assert {layer.compute_dtype for layer in computing.layers if isinstance(layer, Cell)} == {computes}
    copy, description = work_folder.read_description(folder)
    assert checkpoints.load_trained(folder, copy, "last") == 10
    result = Evaluator(copy).on_split(ImageData.from_description(description), "validation", 16)
    assert dataclasses.astuple(result) == pytest.approx(dataclasses.astuple(final), rel=1e-5)
    averaged = {weight.path: weight.numpy() for weight in copy.weights}
    assert any(not np.array_equal(averaged[weight.path], weight.numpy()) for weight in raw.weights)

    again, same = train(folder)  # no steps are left, so the same model is evaluated again
    assert dataclasses.astuple(same) == pytest.approx(dataclasses.astuple(final), rel=1e-5)
    assert read_metrics(folder) == rows
    np.testing.assert_array_equal(again.weights[0].numpy(), model.weights[0].numpy())


def test_another_network_is_refused_and_the_folder_stays_unchanged(whole):
    folder, *_ = whole
    before = (folder / "metrics.jsonl").read_text()
    wider = dataclasses.replace(NETWORK, filters=6)
    with pytest.raises(InputError, match=r"was begun with another configuration: model.json, .*filters was 8, is 12"):
        train(folder, network=lambda classes, size: build_network(smallest_genotype(), wider, classes, size))
    with pytest.raises(InputError, match=r"data.json, train_split was train\[:96\], is train\[:80\]"):
        train(folder, data=dataclasses.replace(DATA, train_split="train[:80]"))
    assert (folder / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 8}, "batch_size was 16, is 8"),
        ({"epochs": 3}, "epochs was 2, is 3"),
        ({"replica_batch_size": 4}, "replica_batch_size was null, is 4"),
    ],
)
def test_another_configuration_is_refused(whole, change, message):
    folder, *_ = whole
    before = (folder / "training.json").read_text()
    with pytest.raises(
        InputError, match=f"begun with another configuration: training.json, {message}; restore the old value, .*train.initial_weights"
    ):
        train(folder, dataclasses.replace(CONFIG, **change))
    assert (folder / "training.json").read_text() == before


def test_another_seed_is_refused(tmp_path):
    train(tmp_path, dataclasses.replace(CONFIG, epochs=0.2), network=dense)
    with pytest.raises(InputError, match="was begun with another configuration: training.json, seed was 3, is 4; restore the old value"):
        train(tmp_path, dataclasses.replace(CONFIG, epochs=0.2, seed=4), network=dense)


def test_divergence_names_step_and_rate_and_saves_no_checkpoint(tmp_path):
    config = dataclasses.replace(CONFIG, gradient_clip_norm=None, ema_decay=None, evaluate_every_epochs=2)
    with pytest.raises(TrainingDiverged, match=r"the loss is \S+ at step [23] \(epoch 0.[24]0\), learning rate \d.*e\+2"):
        train(tmp_path / "loss", config, network=dense, optimizer=Momentum, rate=1e30)
    assert not list(tmp_path.glob("loss/checkpoints/last-*.index"))
    # The loss of the step that breaks the weights is still finite.
    at_once = dataclasses.replace(config, checkpoint_every_seconds=0.0)
    with pytest.raises(TrainingDiverged, match=r"a weight is NaN or infinite at step 1 \(epoch 0.00\), learning rate \S+"):
        train(tmp_path / "weights", at_once, network=dense, optimizer=Momentum, rate=1e39)
    assert not list(tmp_path.glob("weights/checkpoints/last-*.index"))


def test_mirrored_replicas_add_up_to_the_global_batch():
    """The network has no batch norm, whose statistics would differ between replicas. Two replicas then give the results of one."""
    strategy = make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2  # conftest.py creates two CPU devices
    config = dataclasses.replace(CONFIG, ema_decay=None, evaluation_split=None)

    one, _ = train(None, config, dense, Momentum)
    two, _ = train(None, config, dense, Momentum, strategy=strategy)
    for weight, other in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64"])
def test_dtype_policies_that_cannot_train_are_refused(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(InputError, match=f"Keras' dtype policy: expected one of float32, .*got '{policy}'"):
            train(None, CONFIG, dense, Momentum)
    finally:
        keras.config.set_dtype_policy(before)


def test_corrupt_image_is_named(tmp_path):
    source = tmp_path / "images"
    make_folder(
        source,
        {f"{split}/{label}/{index}.png": 0 for split, count in (("train", 4), ("test", 1)) for label in "ab" for index in range(count)},
    )
    bad = source / "train" / "b" / "2.png"
    bad.write_bytes(bad.read_bytes()[:30])
    data = ImageData(f"folder:{source}", CifarPreprocessing(8), validation_split="test", cache=False)
    with pytest.raises(InputError, match=r"train/b/2.png cannot be decoded as an image: .*; expected at most 0 such images .*, got 1: "):
        CorruptImages(data, 0, None, is_chief=False).note(8, 0, 0)
    other, corrupt = source / "train" / "a" / "0.png", CorruptImages(data, 1, None, is_chief=False)
    corrupt.note(8, 0, 0)
    other.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"expected at most 1 such images \(TrainingConfig.max_corrupt_images\), got 2: .*/2.png"):
        corrupt.note(8, 0, 1)
    other.write_bytes((source / "train" / "a" / "1.png").read_bytes())
    # One corrupt image is allowed: it is left out, and training continues with the rest. A second one is an error, even in a later epoch.
    # It is damaged after the third of twelve epochs, because some of the next batches are already prepared by then.
    allowed = dataclasses.replace(CONFIG, batch_size=4, max_corrupt_images=1, ema_decay=None)

    def damage(epoch, evaluation):
        assert (tmp_path / "later" / "corrupt_images.txt").read_text() == f"{bad}\n"
        if epoch == 3:
            other.write_bytes(b"no image")
        return True

    with pytest.raises(InputError, match=r"expected at most 1 such images .*, got 2: .*/0.png"):
        train(tmp_path / "later", dataclasses.replace(allowed, epochs=12), network=dense, data=data, goes_on=damage)
    other.write_bytes((source / "train" / "a" / "1.png").read_bytes())
    # Evaluation never leaves out anything.
    (source / "test" / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"test/a/0.png cannot be decoded as an image"):
        train(tmp_path / "evaluated", allowed, network=dense, data=data)


def test_an_unknown_evaluation_split_is_refused_before_the_training():
    with pytest.raises(InputError, match="unknown split 'tst'"):
        train(None, dataclasses.replace(CONFIG, evaluation_split="tst"), network=None)
