"""Tests of the Gaussian process and its targets, against formulas and simulations."""

import numpy as np
import pytest

from nasnet_tf.nas.strategies import gaussian_process


def test_failed_trainings_have_no_leverage():
    rewards = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.1])
    found, without = gaussian_process.targets(rewards), gaussian_process.targets(rewards[:-1])
    assert found.values[-1] >= found.values[:-1].min() - 3 * np.ptp(found.values[:-1])
    assert np.ptp(found.values[:-1]) > 0.3 * np.ptp(without.values)
    np.testing.assert_allclose(found.accuracies(found.values[:-1]), rewards[:-1])
    ranks = gaussian_process.targets(np.array([-5.0, 100.0, 3.0, 1e9]))  # rewards that are not accuracies
    assert np.argsort(ranks.values).tolist() == [0, 2, 1, 3]
    assert not ranks.is_accuracy


def test_perfect_accuracies_have_little_leverage():
    accuracies = np.array([0.90, 0.95, 0.98, 0.995, 1.0])
    values = gaussian_process.targets(accuracies).values
    assert values[4] - values[3] == pytest.approx((values[3] - values[2]) / 2)  # log(2) and log(4)
    assert np.isfinite(gaussian_process.targets(np.ones(3)).values).all()


def test_predictions_equal_the_formula():
    """The expected mean and variance are computed with the inverse of the covariance."""
    draws = np.random.RandomState(0)
    inputs, new, values, noise = draws.randn(12, 4), draws.randn(3, 4), draws.randn(12), np.full(12, 0.3)
    fit = gaussian_process.fit(inputs, values, noise, inputs[:0])
    inverse = np.linalg.inv(gaussian_process.kernel(inputs, inputs) + np.diag(noise))
    across = gaussian_process.kernel(new, inputs)
    mean, deviation = fit.predict(new)
    np.testing.assert_allclose(mean, across @ inverse @ values, rtol=1e-9)
    variance = np.diag(gaussian_process.kernel(new, new) - across @ inverse @ across.T) * (values @ inverse @ values) / 12
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-7)
    left_out = fit.left_out(values)
    rest = np.arange(12) != 4
    alone = gaussian_process.fit(inputs[rest], values[rest], noise[rest], inputs[:0]).predict(inputs[4:5])[0]
    np.testing.assert_allclose(left_out[4], alone[0], rtol=1e-7)


def test_pending_architectures_lower_the_uncertainty_and_do_not_change_the_mean():
    draws = np.random.RandomState(1)
    inputs, values, noise, pending = draws.randn(10, 3), draws.randn(10), np.full(10, 0.2), draws.randn(2, 3)
    before, after = (gaussian_process.fit(inputs, values, noise, each).predict(pending) for each in (pending[:0], pending))
    np.testing.assert_allclose(before[0], after[0], atol=1e-9)
    assert (after[1] < before[1]).all()


def test_hypervolume_improvement_equals_a_simulation():
    """The simulation draws targets from the predictions."""
    front, worst = [(1.0, 0.0), (2.0, 1.0)], (3.0, -1.0)
    mean, deviation, cost = np.array([0.5, 2.0, 0.0]), np.array([0.6, 0.3, 1.0]), np.array([0.5, 2.5, 4.0])

    def below(stairs):
        edges = np.linspace(0, worst[0], 3001)[:-1]
        return sum(max([target for cost_, target in stairs if cost_ <= edge], default=worst[1]) - worst[1] for edge in edges) / 1000

    found = np.exp(gaussian_process.log_hypervolume_improvement(mean, deviation, cost, front, worst))
    draws = np.random.RandomState(0)
    for at in range(2):
        values = mean[at] + deviation[at] * draws.standard_normal(300)
        grown = np.mean([below([*front, (cost[at], max(value, worst[1]))]) - below(front) for value in values])
        assert found[at] == pytest.approx(grown, rel=0.1)
    assert found[2] < 1e-100  # its cost is above the reference point
