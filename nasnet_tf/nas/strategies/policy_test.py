"""Tests of the controller: draws, probabilities, gradients and padding."""

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.nas.strategies.policy import Controller

SIZES = (2, 2, 5, 5, 1, 3, 3, 5, 5, 2)
UNITS = 8


@pytest.fixture(scope="module")
def controller():
    return Controller(SIZES, seed=3, hidden_units=UNITS)


@pytest.fixture(scope="module")
def drawn(controller):
    return [tensor.numpy() for tensor in controller.sample((0, 7), 4000)]


def test_initial_weights_fill_the_range_and_follow_the_seed(controller):
    for variable in controller.trainable_variables:
        assert np.abs(variable.numpy()).max() <= 0.1
    assert np.std(controller._lstm_kernel) == pytest.approx(0.2 / np.sqrt(12), rel=0.05)
    same, other = Controller(SIZES, seed=3, hidden_units=UNITS), Controller(SIZES, seed=4, hidden_units=UNITS)
    for variable, equal, different in zip(*(c.trainable_variables for c in (controller, same, other)), strict=True):
        np.testing.assert_array_equal(variable, equal)
        assert not np.array_equal(variable, different)


def test_batches_do_not_reuse_the_random_numbers_of_the_initial_weights():
    controller = Controller(SIZES, seed=3, hidden_units=UNITS)
    for variable in controller.trainable_variables:
        weights = variable.numpy().ravel()
        for batch in range(8):
            uniform = tf.random.stateless_uniform([weights.size], (3, batch)).numpy()
            assert abs(np.corrcoef(weights, uniform)[0, 1]) < 5 / np.sqrt(weights.size)


def test_draws_follow_the_seed(controller, drawn):
    again, other = controller.sample((0, 7), 4000), controller.sample((0, 8), 4000)
    np.testing.assert_array_equal(drawn[0], again[0])
    np.testing.assert_array_equal(drawn[1], again[1])
    assert not np.array_equal(drawn[0], other[0])


def test_padding_is_never_drawn_and_every_choice_is(drawn):
    decisions, log_probs = drawn
    assert decisions.dtype == np.int32
    assert decisions.shape == log_probs.shape == (4000, len(SIZES))
    for column, size in zip(decisions.T, SIZES, strict=True):
        assert set(column) == set(range(size))
    np.testing.assert_array_equal(log_probs[:, 4], 0.0)  # a single choice is certain


def test_drawn_frequencies_equal_the_stated_probabilities(drawn):
    decisions, log_probs = drawn
    first = decisions[:, 0] == 1
    assert first.mean() == pytest.approx(np.exp(log_probs[first, 0][0]), abs=0.03)


def test_teacher_forcing_gives_the_log_probs_of_the_draw(controller, drawn):
    decisions, log_probs = drawn
    np.testing.assert_allclose(controller.log_probs_and_entropy(decisions)[0], log_probs, atol=1e-6)


def test_zero_weights_give_the_uniform_policy():
    controller = Controller(SIZES, seed=0, hidden_units=UNITS)
    for variable in controller.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    log_probs, entropy = controller.log_probs_and_entropy(tf.zeros([3, len(SIZES)], tf.int32))
    expected = np.tile(np.log(SIZES), (3, 1))
    np.testing.assert_allclose(entropy, expected, atol=1e-6)
    np.testing.assert_allclose(log_probs, -expected, atol=1e-6)


def test_probabilities_equal_an_lstm_written_in_numpy(controller, drawn):
    """Checks the recurrence gate by gate, and that a decision depends on those before it."""
    decisions = drawn[0][:5]
    embeddings, kernel, bias, softmax_kernel, softmax_bias = (
        getattr(controller, f"_{name}").numpy().astype(float)
        for name in ("embeddings", "lstm_kernel", "lstm_bias", "softmax_kernel", "softmax_bias")
    )

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    inputs, hidden, memory = np.zeros([5, embeddings.shape[-1]]), np.zeros([5, UNITS]), np.zeros([5, UNITS])
    log_probs, entropy = controller.log_probs_and_entropy(decisions)
    for step, size in enumerate(SIZES):
        gates = np.concatenate([inputs, hidden], axis=1) @ kernel + bias
        input_gate, candidate, forget_gate, output_gate = np.split(gates, 4, axis=1)
        memory = sigmoid(forget_gate) * memory + sigmoid(input_gate) * np.tanh(candidate)
        hidden = sigmoid(output_gate) * np.tanh(memory)
        probabilities = np.exp((hidden @ softmax_kernel[step] + softmax_bias[step])[:, :size])
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(log_probs[:, step], np.log(probabilities[np.arange(5), decisions[:, step]]), atol=1e-5)
        np.testing.assert_allclose(entropy[:, step], -(probabilities * np.log(probabilities)).sum(axis=1), atol=1e-5)
        if step + 1 < len(SIZES):
            inputs = embeddings[step][decisions[:, step]]


def test_gradients_are_finite_and_leave_the_padding_alone(controller, drawn):
    with tf.GradientTape() as tape:
        log_probs, entropy = controller.log_probs_and_entropy(drawn[0][:20])
        loss = tf.reduce_sum(log_probs) + tf.reduce_sum(entropy)
    gradients = tape.gradient(loss, controller.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    by_name = dict(zip([variable.name for variable in controller.trainable_variables], gradients, strict=True))
    padding = np.arange(max(SIZES)) >= np.array(SIZES)[:, np.newaxis]
    np.testing.assert_array_equal(by_name["softmax_bias:0"].numpy()[padding], 0)
    assert np.abs(by_name["lstm_kernel:0"]).max() > 0
