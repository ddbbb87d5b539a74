"""Tests that Keras' fit, compiled by compile_for_fit, trains like our loop, step by step."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.api.fitting import compile_for_fit
from nasnet_tf.base.errors import InputError
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.testing import SEVERAL_CLASSES, smallest_genotype
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.optimizers import Momentum, RMSProp
from nasnet_tf.training.schedules import cosine_decay, exponential_decay
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import TrainStep
from nasnet_tf.training.timetable import Timetable

CONFIG = TrainingConfig(
    epochs=2, batch_size=8, label_smoothing=0.1, auxiliary_loss_weight=0.4, weight_decay=1e-2, gradient_clip_norm=1.0, ema_decay=0.9, seed=3
)
NETWORK = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.5, dropout_rate=0.3, batch_norm_momentum=0.8)
STEPS = 3  # steps of an epoch
IMAGES = np.random.default_rng(0).uniform(-1, 1, [STEPS * 8, 8, 8, 3]).astype(np.float32)
LABELS = np.arange(STEPS * 8, dtype=np.int32) % 3
SCHEDULES = {Momentum: cosine_decay(0.1), RMSProp: exponential_decay(16.0, decay_epochs=0.5, warmup_epochs=0.4)}


def network(config=NETWORK):
    """Returns a network with the same weights and the same masks of drop path and dropout at each call."""
    keras.utils.set_random_seed(3)
    return build_network(smallest_genotype(), config, 3, 8)


def values(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for path in found:
        np.testing.assert_allclose(found[path], expected[path], rtol=2e-5, atol=2e-6, err_msg=path)


class Record(keras.callbacks.Callback):
    """Records weights, averages and loss after each step. The loss is without weight decay, like the loop's."""

    def __init__(self, averages):
        super().__init__()
        self._averages, self._batches, self._sum = averages, 0, 0.0
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self._batches, self._sum = 0, 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self._decay = float(sum(self.model.losses))

    def on_train_batch_end(self, batch, logs=None):
        before, self._batches = self._sum, self._batches + 1
        self._sum = logs["loss"] * self._batches  # Keras shows the mean over the epoch so far
        self.steps.append((values(self.model), averages_of(self._averages and self._averages._average), self._sum - before - self._decay))


def averages_of(average):
    return {path: value.numpy() for path, value in average.averages.items()} if average else {}


def steps_of_loop(model, optimizer, config):
    """Returns (weights, averages, loss) after each step of the loop."""
    state = TrainingState.fresh(model, optimizer(), config.ema_decay)
    take = TrainStep(state, Classification(SEVERAL_CLASSES, config), config, tf.distribute.get_strategy())
    batches = iter(tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8, drop_remainder=True).repeat())
    times, found = Timetable(config, len(IMAGES)), []
    for step in range(times.total):
        rate = SCHEDULES[optimizer](times.epoch(step), config.epochs, config.batch_size)
        loss = take(batches, step, [rate], [times.progress(step)], 0.0).numpy()[0, 0]
        found.append((values(state.model), averages_of(state.average), loss))
    return found


def assert_same_steps(found, expected):
    assert len(found) == len(expected) == 2 * STEPS
    for ours, wanted in zip(found, expected, strict=True):
        assert_close(ours[0], wanted[0])
        assert_close(ours[1], wanted[1])
        np.testing.assert_allclose(ours[2], wanted[2], rtol=1e-4)
    moved = [np.abs(value - expected[0][0][path]).max() for path, value in expected[-1][0].items()]
    assert np.median(moved) > 1e-3


def test_each_step_of_fit_is_a_step_of_the_loop():
    """Trains by RMSProp with all of the paper's options. Validation and the trained model have the averages."""
    model = network()
    callbacks = compile_for_fit(model, RMSProp(), SCHEDULES[RMSProp], CONFIG)
    record = Record(callbacks[1])
    labels = {"logits": LABELS, "auxiliary_logits": LABELS}
    history = model.fit(
        IMAGES, labels, 8, 2, validation_data=(IMAGES, labels), shuffle=False, verbose=0, callbacks=[*callbacks, record]
    ).history
    expected = steps_of_loop(network(), RMSProp, CONFIG)
    assert_same_steps(record.steps, expected)
    assert_close(values(model), expected[-1][1])
    measured = Evaluator(model)([(IMAGES, LABELS, np.ones(len(LABELS), np.float32))])
    assert history["val_logits_accuracy"][-1] == pytest.approx(measured.accuracy)


def test_without_averages_decay_and_auxiliary_head():
    config = dataclasses.replace(CONFIG, weight_decay=0.0, gradient_clip_norm=None, ema_decay=None, schedule_drop_path=False)
    plain = dataclasses.replace(NETWORK, auxiliary_head=False)
    model = network(plain)
    for weight in model.trainable_weights:
        weight.regularizer = keras.regularizers.L2(1.0)  # as from an earlier compilation
    callbacks, record = compile_for_fit(model, Momentum(), SCHEDULES[Momentum], config), Record(None)
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS[:, None])).batch(8)
    model.fit(batches, epochs=2, verbose=0, callbacks=[*callbacks, record])
    assert_same_steps(record.steps, steps_of_loop(network(plain), Momentum, config))


@pytest.fixture(scope="module")
def small():
    return network(dataclasses.replace(NETWORK, auxiliary_head=False))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"patience": 3},
            "TrainingConfig.patience: expected None with fit .*keras.callbacks.EarlyStopping instead.*, got 3",
        ),
        ({"class_weights": "balanced"}, "TrainingConfig.class_weights: .* sample_weight of fit instead.*, got 'balanced'"),
        ({"frozen_epochs": 1}, "TrainingConfig.frozen_epochs: expected 0.0 with fit"),
        ({"steps_per_call": 2}, "TrainingConfig.steps_per_call: expected 1 with fit"),
        ({"replica_batch_size": 2}, "TrainingConfig.replica_batch_size: expected None with fit"),
    ],
)
def test_settings_of_the_loop_are_refused(small, changes, message):
    with pytest.raises(InputError, match=message):
        compile_for_fit(small, Momentum(), cosine_decay(0.1), dataclasses.replace(CONFIG, **changes))


def test_wrong_models_optimizers_and_configurations_are_refused(small):
    foreign = keras.Sequential([keras.Input([8]), keras.layers.Dense(3)])
    scheduled = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    for model, optimizer, config, message in (
        (foreign, Momentum(), CONFIG, "expected a network of load_nasnet or build_network"),
        (small, scheduled, CONFIG, "optimizer: expected one whose learning rate is a number"),
        (small, "sgd", CONFIG, "optimizer: expected an optimizer such as nasnet_tf.RMSProp.., got 'sgd'"),
        (small, Momentum(clipnorm=1.0), CONFIG, "optimizer: expected one without clipping"),
        (small, Momentum(), {"epochs": 1}, "config: expected a TrainingConfig, got {'epochs': 1}"),
    ):
        with pytest.raises(InputError, match=message):
            compile_for_fit(model, optimizer, cosine_decay(0.1), config)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(InputError, match="Keras' dtype policy: expected float32 or mixed_bfloat16 with fit, got 'mixed_float16'"):
            compile_for_fit(small, Momentum(), cosine_decay(0.1), CONFIG)
    finally:
        keras.config.set_dtype_policy("float32")


def test_calls_of_fit_that_contradict_the_configuration(small):
    config = dataclasses.replace(CONFIG, ema_decay=None)
    callbacks = compile_for_fit(small, Momentum(), cosine_decay(0.1), config)
    small.run_eagerly = True  # tracing would take longer than the few steps
    with pytest.raises(InputError, match="fit: expected epochs=2, as TrainingConfig.epochs says, got 1"):
        small.fit(IMAGES, LABELS, 8, callbacks=callbacks, verbose=0)
    with pytest.raises(InputError, match="fit: expected batches of 8 examples, as TrainingConfig.batch_size says, got 24"):
        small.fit(IMAGES, LABELS, epochs=2, callbacks=callbacks, verbose=0)
    with pytest.raises(InputError, match=r"fit: expected labels as one integer for each image, \[batch\], got the shape \[8, 3\]"):
        small.fit(IMAGES, np.eye(3)[LABELS], 8, 2, callbacks=callbacks, verbose=0)
    endless = tf.data.Dataset.from_tensors((IMAGES[:8], LABELS[:8])).repeat()
    with pytest.raises(InputError, match="fit: expected steps_per_epoch, because the data does not say how many batches an epoch has"):
        small.fit(endless, epochs=2, callbacks=callbacks, verbose=0)


def test_the_trained_network_is_saved_and_opened(small, tmp_path):
    callbacks = compile_for_fit(small, RMSProp(), cosine_decay(0.1), dataclasses.replace(CONFIG, epochs=1))
    small.fit(IMAGES, LABELS, 8, 1, callbacks=callbacks, verbose=0)
    small.save(tmp_path / "mine.keras")
    for opened in (load_nasnet(tmp_path / "mine.keras"), keras.models.load_model(tmp_path / "mine.keras")):
        assert_close(values(opened), values(small))
