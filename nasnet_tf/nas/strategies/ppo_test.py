"""Tests of PPO: losses computed by hand, and updates recomputed in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import ppo
from nasnet_tf.nas.strategies.policy import Controller

SIZES = (2, 3, 4)


def _loss(new_probabilities, old_probabilities, advantages, entropy=0.0, clip=0.2, entropy_weight=0.0):
    new, old = (tf.math.log(tf.constant(values, tf.float32)) for values in (new_probabilities, old_probabilities))
    return float(ppo.clipped_loss(new, old, tf.constant(advantages), tf.fill(new.shape, entropy), clip, entropy_weight))


def test_baseline_is_a_moving_average_that_starts_at_the_first_reward():
    assert ppo.updated_baseline(None, 0.5, decay=0.95) == 0.5
    assert ppo.updated_baseline(0.5, 0.9, decay=0.95) == pytest.approx(0.52)


@pytest.mark.parametrize(
    ("new", "advantage", "expected"),
    [
        (0.5, 2.0, -2.0),  # ratio 1
        (0.55, 2.0, -2.2),  # 1.1, inside the range
        (0.75, 2.0, -2.4),  # 1.5 pays no more than 1.2
        (0.25, 2.0, -1.0),  # 0.5 is not clipped when it is a loss
        (0.25, -2.0, 1.6),  # 0.5 pays no more than 0.8
        (0.75, -2.0, 3.0),  # 1.5 is not clipped when it is a loss
    ],
)
def test_the_loss_of_one_decision_equals_the_formula(new, advantage, expected):
    assert _loss([[new]], [[0.5]], [advantage]) == pytest.approx(expected, rel=1e-6)


def test_loss_is_the_mean_over_architectures_of_the_sum_over_decisions():
    # ratios 1.1, 1.5 (clipped to 1.2) with advantage 1; 0.5 (clipped to 0.8), 1 with advantage -3
    loss = _loss([[0.55, 0.75], [0.25, 0.5]], [[0.5, 0.5], [0.5, 0.5]], [1.0, -3.0])
    assert loss == pytest.approx(-(1.1 + 1.2 - 2.4 - 3.0) / 2, rel=1e-6)


def test_entropy_lowers_the_loss_by_its_weight():
    assert _loss([[0.5]], [[0.5]], [1.0], entropy=3.0, entropy_weight=0.1) == pytest.approx(-1.3, rel=1e-6)


def test_clip_range_is_an_option():
    assert _loss([[0.75]], [[0.5]], [1.0], clip=0.4) == pytest.approx(-1.4, rel=1e-6)


def test_stored_log_probs_make_every_ratio_one():
    controller = Controller(SIZES, seed=1, hidden_units=100)
    decisions, log_probs = controller.sample((1, 0), 64)
    ratio = tf.exp(controller.log_probs_and_entropy(decisions)[0] - log_probs)
    np.testing.assert_allclose(ratio, 1.0, atol=1e-6)


def test_one_update_is_one_step_of_adam():
    """With ratios of 1, the gradient of the softmax biases is -(A one_hot - A p) / n, and Adam's first step is the rate times its sign."""
    controller = Controller(SIZES, seed=2, hidden_units=4)
    for variable in controller.trainable_variables:
        variable.assign(tf.zeros_like(variable))  # a uniform policy, whose gradients are zero except in the softmax biases
    decisions = np.array([[0, 2, 3], [1, 2, 0]])
    old_log_probs = -np.log(np.tile(SIZES, (2, 1)))
    advantages = np.array([0.25, -0.5])
    metrics = ppo.Updater(controller, learning_rate=0.01, clip=0.2, entropy_weight=0.0).update(
        decisions, old_log_probs, advantages, epochs=1
    )

    gradient = np.zeros([3, 4])
    for row, advantage in zip(decisions, advantages, strict=True):
        for step, size in enumerate(SIZES):
            gradient[step, :size] += advantage / size / 2
            gradient[step, row[step]] -= advantage / 2
    expected = -0.01 * np.sign(gradient)  # whatever the size of the gradient
    np.testing.assert_allclose(controller._softmax_bias, expected, atol=1e-5)
    np.testing.assert_array_equal(controller._lstm_kernel, 0.0)
    assert metrics["loss"] == pytest.approx(3 * 0.125, rel=1e-5)  # minus the mean advantage, for each decision
    assert metrics["entropy"] == pytest.approx(np.log(24), rel=1e-5)
    assert metrics["clip_fraction"] == 0
    assert metrics["kl"] == pytest.approx(0, abs=1e-6)


def _numpy_loss_and_gradients(weights, decisions, old_log_probs, advantages, clip, entropy_weight):
    """Returns the clipped loss of a minibatch and its gradients, from backpropagation through time written by hand; all float64."""
    embeddings, kernel, bias, softmax_kernel, softmax_bias = weights
    gradients = [np.zeros_like(weight) for weight in weights]
    n, steps = decisions.shape
    units = kernel.shape[1] // 4

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    inputs, hidden, memory = np.zeros([n, embeddings.shape[-1]]), np.zeros([n, units]), np.zeros([n, units])
    tape, loss = [], 0.0
    for step, size in enumerate(SIZES):
        joined = np.concatenate([inputs, hidden], axis=1)
        i, candidate, f, o = np.split(joined @ kernel + bias, 4, axis=1)
        i, candidate, f, o = sigmoid(i), np.tanh(candidate), sigmoid(f), sigmoid(o)
        before, memory = memory, f * memory + i * candidate
        hidden = o * np.tanh(memory)
        p = np.exp((hidden @ softmax_kernel[step] + softmax_bias[step])[:, :size])
        p /= p.sum(axis=1, keepdims=True)
        chosen = np.eye(size)[decisions[:, step]]
        ratio = (p * chosen).sum(axis=1) / np.exp(old_log_probs[:, step])
        clipped = np.clip(ratio, 1 - clip, 1 + clip) * advantages
        entropy = -(p * np.log(p)).sum(axis=1)
        loss -= (np.minimum(ratio * advantages, clipped) + entropy_weight * entropy).sum() / n
        # d ratio / d logits = ratio (chosen - p), unless the clipped side is the smaller; d entropy / d logits = -p (log p + entropy)
        pays = np.where(ratio * advantages <= clipped, ratio * advantages, 0)[:, np.newaxis]
        d_logits = -(pays * (chosen - p) - entropy_weight * p * (np.log(p) + entropy[:, np.newaxis])) / n
        tape.append((joined, i, candidate, f, o, before, memory, hidden, d_logits))
        if step + 1 < steps:
            inputs = embeddings[step][decisions[:, step]]
    d_hidden, d_memory = np.zeros([n, units]), np.zeros([n, units])
    for step in reversed(range(steps)):
        joined, i, candidate, f, o, before, memory, hidden, d_logits = tape[step]
        size = SIZES[step]
        gradients[3][step, :, :size] += hidden.T @ d_logits
        gradients[4][step, :size] += d_logits.sum(axis=0)
        d_hidden = d_hidden + d_logits @ softmax_kernel[step][:, :size].T
        d_memory = d_memory + d_hidden * o * (1 - np.tanh(memory) ** 2)
        d_gates = np.concatenate(
            [
                d_memory * candidate * i * (1 - i),
                d_memory * i * (1 - candidate**2),
                d_memory * before * f * (1 - f),
                d_hidden * np.tanh(memory) * o * (1 - o),
            ],
            axis=1,
        )
        gradients[1] += joined.T @ d_gates
        gradients[2] += d_gates.sum(axis=0)
        d_joined = d_gates @ kernel.T
        d_hidden, d_memory = d_joined[:, -units:], d_memory * f
        if step:
            np.add.at(gradients[0][step - 1], decisions[:, step - 1], d_joined[:, :-units])
    return loss, gradients


def test_updates_equal_those_computed_in_numpy():
    """Checks the gradients through loss, entropy, softmaxes and LSTM, and Adam: two updates of two passes on samples of an older policy."""
    clip, entropy_weight, rate = 0.1, 0.01, 0.003
    names = ("embeddings", "lstm_kernel", "lstm_bias", "softmax_kernel", "softmax_bias")
    controller = Controller(SIZES, seed=2, hidden_units=6)
    updater = ppo.Updater(controller, rate, clip, entropy_weight)
    weights = [getattr(controller, f"_{name}").numpy().astype(float) for name in names]
    means, squares = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    rng = np.random.default_rng(0)
    step = 0
    for update in range(2):
        decisions, log_probs = (tensor.numpy() for tensor in controller.sample((0, update), 16))
        log_probs = log_probs + rng.normal(0, 0.1, log_probs.shape).astype(np.float32)  # as if an older policy had drawn them
        advantages = rng.normal(0, 1, 16).astype(np.float32)
        metrics = updater.update(decisions, log_probs, advantages, epochs=2)
        for _ in range(2):
            step += 1
            loss, gradients = _numpy_loss_and_gradients(weights, decisions, log_probs.astype(float), advantages, clip, entropy_weight)
            for weight, mean, square, gradient in zip(weights, means, squares, gradients, strict=True):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                weight -= rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * mean / (np.sqrt(square) + 1e-12)
        assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
        assert 0 < metrics["clip_fraction"] < 1
        for name, weight in zip(names, weights, strict=True):
            np.testing.assert_allclose(getattr(controller, f"_{name}"), weight, atol=rate * 1e-3, err_msg=name)


def test_updates_raise_the_probability_of_rewarded_decisions_and_more_epochs_raise_it_further():
    def probability_after(epochs):
        controller = Controller(SIZES, seed=2, hidden_units=8)
        decisions, log_probs = (tensor.numpy() for tensor in controller.sample((0, 0), 2))
        updater = ppo.Updater(controller, learning_rate=0.01, clip=0.2, entropy_weight=1e-5)
        metrics = updater.update(decisions[:1], log_probs[:1], [1.0], epochs)
        return np.exp(controller.log_probs_and_entropy(decisions[:1])[0].numpy().sum()), np.exp(log_probs[0].sum()), metrics

    once, before, _ = probability_after(1)
    often, _, metrics = probability_after(20)
    assert before < once < often
    assert metrics["clip_fraction"] > 0
    assert metrics["kl"] > 0


def test_entropy_weight_flattens_the_policy():
    controller = Controller(SIZES, seed=2, hidden_units=8)
    controller._softmax_bias.assign_add([[2.0, 0, 0, 0]] * 3)
    decisions, log_probs = (tensor.numpy() for tensor in controller.sample((0, 0), 8))
    updater = ppo.Updater(controller, learning_rate=0.01, clip=0.2, entropy_weight=1.0)
    first = updater.update(decisions, log_probs, [0.0] * 8, epochs=1)
    last = updater.update(decisions, log_probs, [0.0] * 8, epochs=30)
    assert last["entropy"] > first["entropy"]


@pytest.mark.parametrize("seed", [0, 1])
def test_adams_epsilon_does_not_shrink_the_first_step(seed):
    """With a new policy, 50 decisions and advantages near 0.01, gradients are as small as they get in a search."""
    space = SearchSpace()
    assert len(space.sizes) == 50
    controller = Controller(space.sizes, seed, hidden_units=100)
    before = [variable.numpy() for variable in controller.trainable_variables]
    decisions, log_probs = (tensor.numpy() for tensor in controller.sample((seed, 0), 20))
    updater = ppo.Updater(controller, learning_rate=0.00035, clip=0.2, entropy_weight=1e-5)
    updater.update(decisions, log_probs, np.random.default_rng(seed).normal(0, 0.01, 20), epochs=1)
    for variable, old in zip(controller.trainable_variables, before, strict=True):
        steps = np.abs(variable.numpy() - old)
        # Adam's first step is the learning rate for each weight with a gradient. Embeddings of choices that were not drawn have none.
        share = steps[steps > 1e-3 * 0.00035].mean() / 0.00035
        assert share > 0.95, f"{variable.name} takes {share:.0%} of its step"
