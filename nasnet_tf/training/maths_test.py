"""Tests of schedules, losses, optimizers and averages against values worked out by hand."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.terminal import ProgressLine, format_seconds
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.losses import classification_loss, is_decayed, weight_decay_loss
from nasnet_tf.training.optimizers import Momentum, RMSProp
from nasnet_tf.training.schedules import cosine_decay, exponential_decay, step_decay
from nasnet_tf.training.state import WeightAverage


@pytest.mark.parametrize(
    ("schedule", "epochs", "rates"),
    [
        # (1 + cos(pi t / T)) / 2 at t / T = 0, 1/6, 1/4, 1/3, 1/2, 2/3, 1, with the known cosines of 30, 45, 60, 90 and 120 degrees.
        (cosine_decay(1), 600, {0: 1, 100: (1 + 3**0.5 / 2) / 2, 150: (1 + 2**-0.5) / 2, 200: 0.75, 300: 0.5, 400: 0.25, 600: 0}),
        (cosine_decay(0.2, warmup_epochs=2), 10, {0: 0, 0.5: 0.05, 1: 0.1, 2: 0.2, 6: 0.1, 10: 0}),
        (step_decay(0.0003, (7.5, 10.0)), 12, {0: 3e-4, 7.4: 3e-4, 7.5: 3e-5, 9.9: 3e-5, 10: 3e-6, 12: 3e-6}),
        # 0.97^0, 0.97^0, 0.97^1, 0.97^1, 0.97^2; 24.1 / 2.4 = 10.04; 311.9 / 2.4 = 129.96
        (exponential_decay(1), 312, {0: 1, 2.39: 1, 2.41: 0.97, 4.79: 0.97, 4.81: 0.9409, 24.1: 0.737424, 311.9: 0.97**129}),
        (exponential_decay(1, decay_rate=0.81, decay_epochs=4, staircase=False), 312, {2: 0.9, 4: 0.81, 8: 0.6561}),
        # The warm-up adds 0.5 per epoch. The decay ignores it: 3 and 4.7 are in the second step of 2.4 epochs, 4.9 in the third.
        (exponential_decay(1.5, warmup_epochs=3), 312, {0: 0, 1: 0.5, 2.5: 1.25, 3: 1.455, 4.7: 1.455, 4.9: 1.41135}),
    ],
)
def test_schedules_follow_their_formulas(schedule, epochs, rates):
    assert [schedule(epoch, epochs, 256) for epoch in rates] == pytest.approx(list(rates.values()))


def test_the_rate_is_proportional_to_the_batch_size():
    rates = {16: 0.015, 256: 0.24, 1600: 1.5, 4096: 3.84}
    assert [exponential_decay(0.24)(0, 312, batch_size) for batch_size in rates] == pytest.approx(list(rates.values()))


def test_label_smoothing_spreads_a_fraction_over_all_classes():
    loss = classification_loss(tf.constant([1]), tf.math.log([[0.2, 0.5, 0.3]]), label_smoothing=0.3)
    assert float(loss[0]) == pytest.approx(-(0.1 * np.log(0.2) + 0.8 * np.log(0.5) + 0.1 * np.log(0.3)))


def test_weight_decay_is_of_kernels_only():
    kernel, bias = tf.Variable([[1.0, 2.0]]), tf.Variable([5.0])
    assert [is_decayed(kernel), is_decayed(bias)] == [True, False]
    assert float(weight_decay_loss([kernel, bias])) == 2.5


def steps(optimizer, gradients, rate):
    variable = keras.Variable([1.0], name="weight")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients([(tf.constant([gradient]), variable)])
    return float(variable[0])


def test_momentum_accumulates_gradients():
    # The accumulator is 2, then 0.9 * 2 + 1 = 2.8.
    assert steps(Momentum(0.9), [2.0, 1.0], 0.1) == pytest.approx(1 - 0.1 * 2 - 0.1 * 2.8)


def test_rmsprop_is_that_of_tensorflow_1():
    square_1 = 0.9 * 1 + 0.1 * 4  # the mean square starts at 1
    square_2 = 0.9 * square_1 + 0.1 * 1
    moment_1 = 0.1 * 2 / np.sqrt(square_1 + 1)
    moment_2 = 0.5 * moment_1 + 0.1 * 1 / np.sqrt(square_2 + 1)
    assert steps(RMSProp(0.9, 0.5, 1.0), [2.0, 1.0], 0.1) == pytest.approx(1 - moment_1 - moment_2, rel=1e-6)


def linear_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, use_bias=False, name="dense")])
    model.weights[0].assign([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return model


def test_weight_average_warms_up():
    model = linear_model()
    average = WeightAverage(model, decay=0.99)
    first = model.weights[0].numpy()
    model.weights[0].assign(first + 1)
    average.update(tf.constant(0))  # decay 1 / 10
    average.update(tf.constant(1))  # decay 2 / 11
    values = average.averages[model.weights[0].path].numpy()
    np.testing.assert_allclose(values, first + 1 - 0.1 * 2 / 11, rtol=1e-5)
    with average.in_place():
        np.testing.assert_allclose(model.weights[0].numpy(), values)
    np.testing.assert_allclose(model.weights[0].numpy(), first + 1)


def test_evaluation_counts_each_example_once():
    images = tf.constant([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, 0.0]])
    labels, weights = tf.constant([0, 1, 1, 0]), tf.constant([1.0, 1.0, 1.0, 0.0])  # the last is padding
    batches = tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(2)
    result = Evaluator(linear_model())(batches)
    assert (result.accuracy, result.top_5_accuracy, result.examples) == (pytest.approx(2 / 3), 1.0, 3)
    right, wrong = np.log(np.exp(3) + 2) - 3, np.log(np.exp(3) + 2)
    assert result.loss == pytest.approx((2 * right + wrong) / 3, rel=1e-5)


def test_seconds_are_formatted_as_minutes_or_hours():
    assert [format_seconds(seconds) for seconds in (5, 75, 3675)] == ["0:05", "1:15", "1:01:15"]


def test_progress_on_a_terminal_fits_into_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.fileno", lambda: 2)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((60, 24)))
    ProgressLine("training", total=40, unit="steps").update(10, loss=2.0, accuracy=0.5, learning_rate=0.025)
    line = capsys.readouterr().err
    assert line.startswith("\x1b[2K[#####---------------] training: 10/40 steps | 0:00 left | ")
    assert line.endswith("\r")
    assert len(line) == len("\x1b[2K") + 59 + len("\r")


def test_progress_line_shows_the_time_that_a_limit_leaves(capsys, monkeypatch):
    now = iter([0.0, 100.0, 200.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = ProgressLine("search", total=1000, unit="trials")
    line.update(0, 3600.0)
    line.update(10, 3500.0)
    assert capsys.readouterr().err.splitlines() == ["search: 0/1000 trials | 1:00:00 left", "search: 10/1000 trials | 58:20 left"]


def test_the_progress_line_estimates_the_time_left(capsys, monkeypatch):
    now = iter([0.0, 100.0, 150.0, 155.0, 300.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = ProgressLine("training", total=40, unit="steps", start=10)
    line.update(10, loss=2.0)  # no step done yet, so no estimate of the time left
    line.update(20, loss=1.5)
    line.update(21, loss=1.4)  # too soon after the last line for a log file
    line.update(40, loss=1.0)
    assert capsys.readouterr().err.splitlines() == [
        "training: 10/40 steps | loss 2",
        "training: 20/40 steps | 5:00 left | loss 1.5",
        "training: 40/40 steps | 5:00 | loss 1",
    ]
