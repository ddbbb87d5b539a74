"""A Gaussian process over architectures that predicts rewards and their uncertainty.

The kernel is half linear and half Matern 5/2, on features that are standardized over the search space. Its shape is fixed, because fitting
length scales and weights by marginal likelihood overfits with only tens of noisy rewards. Only the noise ratio is fitted.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from nasnet_tf.base.extras import OnDemand

linalg, special, threadpoolctl = OnDemand("scipy.linalg"), OnDemand("scipy.special"), OnDemand("threadpoolctl")

LINEAR_SHARE = 0.5  # weight of the linear part of the kernel; values of 0.2 to 0.8 rank real architectures equally well
# Length scale of the Matern part, in root-mean-square distance per feature. Two random architectures are this far apart on average.
LENGTH_SCALE = 2**0.5
NOISE_RATIOS = tuple(np.geomspace(0.001, 3.0, 10).tolist())  # candidates for the ratio of the noise variance to the kernel variance
_SMALLEST_ERROR = 1e-4  # smaller errors are treated as this, so that their logarithms are finite
# Targets have a lower bound: the median minus this many times (third quartile - median). For normal values, that is two standard deviations
# below the median.
_BOUND = 3.0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limits linear algebra to one thread.

    The matrices are small, and the children occupy the cores: more threads would mostly wait and make a proposal slower.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries():
    linalg.cholesky  # noqa: B018  SciPy has a BLAS library of its own, which threadpoolctl only finds once SciPy has loaded it
    return threadpoolctl.ThreadpoolController()


class Scale:
    """Standardizes features to mean 0 and standard deviation 1 over a sample; drops features that are constant in the sample.

    Args:
      sample: float [n, features].
    """

    def __init__(self, sample: np.ndarray):
        spread = sample.std(axis=0)
        self._varies = spread > 1e-9
        self._mean, self._spread = sample.mean(axis=0)[self._varies], spread[self._varies]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Returns the standardized features, float [m, features that vary], of features, float [m, features]."""
        return (features[:, self._varies] - self._mean) / self._spread


@dataclasses.dataclass(frozen=True)
class Targets:
    """Transformed rewards, which the model is fitted to: bounded below, with mean 0 and standard deviation 1.

    Attributes:
      values: the targets, float [n].
      is_accuracy: True if the targets are -log(error), False if they are normal scores of the ranks of the rewards.
      mean: mean of the values before they were standardized.
      scale: standard deviation of the values before they were standardized.
    """

    values: np.ndarray
    is_accuracy: bool
    mean: float
    scale: float

    def accuracies(self, values: np.ndarray) -> np.ndarray:
        """Converts targets back to accuracies; valid only if `is_accuracy`."""
        return 1 - np.exp(-(values * self.scale + self.mean))


def targets(rewards: np.ndarray) -> Targets:
    """Transforms rewards into the targets that the model is fitted to.

    If all rewards are in [0, 1], they are taken as accuracies and become -log(error). Other rewards become the normal scores of their
    ranks, which do not depend on the scale of the rewards. Values far below the median are raised to a bound that is computed from the
    upper half of the values, so that failed trainings have no leverage. Perfect accuracies have little more than the best others: their
    error counts as half of the smallest other one.

    Args:
      rewards: float [n] or [n, levels], one row per architecture: the reward of its first training and, for the best, of longer trainings.
        Rewards are finite, or NaN for a training that did not take place. The longest training of an architecture counts. Longer trainings
        give higher rewards to all architectures, so their values are shifted to the mean that the same architectures had one level below.
        An architecture without any reward, because it is infeasible, gets the lowest value. At least one architecture has a reward.
    """
    rewards = rewards.reshape(len(rewards), -1)
    known = rewards[~np.isnan(rewards)]
    is_accuracy = bool(np.all((known >= 0) & (known <= 1)))
    imperfect = known[known < 1]
    smallest = max(_SMALLEST_ERROR, (1 - imperfect.max()) / 2 if len(imperfect) else 0.0)
    levels = (-np.log(np.maximum(1 - rewards, smallest)) if is_accuracy else rewards).T
    is_rewarded = ~np.isnan(levels[0])
    levels = levels[:, is_rewarded]
    values = levels[0].copy()
    for level in levels[1:]:
        reached = ~np.isnan(level)
        if reached.any():
            values[reached] += level[reached] - values[reached] - np.mean(level[reached] - values[reached])
    if not is_accuracy:
        order = np.sort(values)
        middle = (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2
        values = special.ndtri(np.clip(middle / len(values), 0.5 / len(values), 1 - 0.5 / len(values)))
    _, median, upper = np.quantile(values, (0.25, 0.5, 0.75))
    lowest = median - _BOUND * (upper - median) if upper > median else values.min()
    found = np.full(len(is_rewarded), lowest)
    found[is_rewarded] = np.maximum(values, lowest)
    spread = found.std()
    scale = float(spread) if spread > 1e-9 else 1.0
    return Targets((found - found.mean()) / scale, is_accuracy, float(found.mean()), scale)


def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the prior covariance, float [n, m], between standardized features [n, features] and [m, features]."""
    width = one.shape[1]
    found = one @ other.T
    distance = found * -2.0  # from here on in place, because most of a proposal's time is spent here
    distance += (one * one).sum(axis=1)[:, None]
    distance += (other * other).sum(axis=1)
    distance *= 5 / (width * LENGTH_SCALE**2)
    np.sqrt(np.maximum(distance, 0.0, out=distance), out=distance)
    matern = np.exp(-distance)
    matern *= 1 + distance * (1 + distance / 3)
    found *= LINEAR_SHARE / width
    matern *= 1 - LINEAR_SHARE
    found += matern
    return found


def best_noise_ratio(covariance: np.ndarray, values: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Returns the noise ratio with the highest marginal likelihood, and the logarithm of that likelihood up to a constant.

    Args:
      covariance: kernel matrix of the trials, float [n, n].
      values: targets of the trials, float [n].
      noise: float [n], noise variance of each trial as a multiple of that of a trial with one complete training.
    """
    likelihoods = []
    for ratio in NOISE_RATIOS:
        lower = linalg.cholesky(covariance + np.diag(ratio * noise), lower=True, check_finite=False)
        white = linalg.solve_triangular(lower, values, lower=True, check_finite=False)
        likelihoods.append(-np.log(np.diag(lower)).sum() - len(values) / 2 * np.log(max(white @ white, 1e-12)))
    best = int(np.argmax(np.round(likelihoods, 6)))
    return NOISE_RATIOS[best], float(likelihoods[best])


@dataclasses.dataclass(frozen=True)
class Fit:
    """A Gaussian process conditioned on trials.

    Attributes:
      inputs: standardized features of the trials and then of the pending architectures, float [n, features].
      lower: lower Cholesky factor of their covariance with noise, float [n, n].
      weights: float [n]; the posterior mean is the kernel times these weights.
      variance: factor by which the kernel is multiplied.
      expected: posterior mean of the noise-free targets of the trials, float [trials]; without the pending architectures.
    """

    inputs: np.ndarray
    lower: np.ndarray
    weights: np.ndarray
    variance: float
    expected: np.ndarray

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the posterior mean alone, float [m], of inputs as for `predict`, in less time."""
        return kernel(inputs, self.inputs) @ self.weights

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the posterior mean and standard deviation, float [m] each, of the noise-free targets.

        Args:
          inputs: standardized features, float [m, features].
        """
        across = kernel(inputs, self.inputs)
        white = linalg.solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        prior = LINEAR_SHARE * (inputs * inputs).sum(axis=1) / inputs.shape[1] + 1 - LINEAR_SHARE
        return across @ self.weights, np.sqrt(self.variance * np.maximum(prior - (white * white).sum(axis=0), 1e-9))

    def covariance(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the posterior covariance, float [m, m], of the noise-free targets.

        Args:
          inputs: standardized features, float [m, features].
        """
        white = linalg.solve_triangular(self.lower, kernel(inputs, self.inputs).T, lower=True, check_finite=False)
        return self.variance * (kernel(inputs, inputs) - white.T @ white)

    def combinations(self, inputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the posterior mean and standard error, float [k] each, of k weighted sums of the noise-free targets.

        Args:
          inputs: standardized features, float [m, features].
          weights: the weights of each sum, float [k, m].
        """
        across = weights @ kernel(inputs, self.inputs)
        white = linalg.solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        variances = ((weights @ kernel(inputs, inputs)) * weights).sum(axis=1) - (white * white).sum(axis=0)
        return across @ self.weights, np.sqrt(self.variance * np.maximum(variances, 0.0))

    def left_out(self, values: np.ndarray) -> np.ndarray:
        """Returns the leave-one-out predictions, float [n]: the prediction for each trial from all others, in closed form.

        Args:
          values: targets of the trials, float [n].
        """
        inverse = linalg.cho_solve((self.lower, True), np.eye(len(values)), check_finite=False)
        return values - self.weights / np.diag(inverse)


def fit(inputs: np.ndarray, values: np.ndarray, noise: np.ndarray, pending: np.ndarray) -> Fit:
    """Conditions the process on trials, and on pending architectures as if they got their expected reward ("kriging believer").

    Args:
      inputs: standardized features of the trials, float [n, features].
      values: targets of the trials, float [n].
      noise: noise variance of each trial as a multiple of the kernel variance, float [n].
      pending: standardized features of the architectures that have no reward yet, float [m, features].
    """
    covariance = kernel(inputs, inputs)
    lower = linalg.cholesky(covariance + np.diag(noise), lower=True, check_finite=False)
    weights = linalg.cho_solve((lower, True), values, check_finite=False)
    variance = max(float(values @ weights) / len(values), 1e-9)
    expected = values - noise * weights
    if not len(pending):
        return Fit(inputs, lower, weights, variance, expected)
    # Observing an expected value does not change the mean, so the weights of pending architectures are 0. Only the Cholesky factor grows.
    corner = linalg.solve_triangular(lower, kernel(inputs, pending), lower=True, check_finite=False)
    rest = kernel(pending, pending) - corner.T @ corner + np.median(noise) * np.eye(len(pending))
    size = len(lower)
    grown = np.zeros((size + len(pending),) * 2)
    grown[:size, :size], grown[size:, :size] = lower, corner.T
    grown[size:, size:] = linalg.cholesky(rest, lower=True, check_finite=False)
    return Fit(np.concatenate([inputs, pending]), grown, np.concatenate([weights, np.zeros(len(pending))]), variance, expected)


def fitted(inputs: np.ndarray, values: np.ndarray) -> Fit:
    """Conditions the process on trials that all have the same noise, and selects that noise by marginal likelihood.

    Args:
      inputs: standardized features of the trials, float [n, features].
      values: targets of the trials, float [n].
    """
    noise = np.ones(len(values))
    ratio, _ = best_noise_ratio(kernel(inputs, inputs), values, noise)
    return fit(inputs, values, ratio * noise, inputs[:0])


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Returns the natural logarithm of the expected improvement over `best`, float [n].

    The result is finite even if the improvement itself would underflow.

    Args:
      mean: posterior means, float [n].
      deviation: posterior standard deviations, float [n].
      best: the value to improve on.
    """
    z = np.maximum((mean - best) / deviation, -1e8)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    direct = np.log(np.maximum(z * special.ndtr(z) + density, 1e-300))
    far = -z * z / 2 - np.log(np.sqrt(2 * np.pi)) - 2 * np.log(np.maximum(-z, 1.0))  # the asymptote for z far below 0
    return np.log(deviation) + np.where(z > -10, direct, far)


def log_hypervolume_improvement(
    mean: np.ndarray, deviation: np.ndarray, cost: np.ndarray, front: Sequence[tuple[float, float]], worst: tuple[float, float]
) -> np.ndarray:
    """Returns the natural logarithm of the expected hypervolume improvement of n architectures, float [n].

    The hypervolume is the area below the Pareto front of targets over costs. Costs are assumed to be known exactly. The best target as a
    function of cost is a staircase, and an architecture can raise it only from its own cost upward. The expected improvement of the area is
    therefore the sum over the stairs of their width times the expected improvement over their height.

    Args:
      mean: posterior means of the targets, float [n].
      deviation: posterior standard deviations of the targets, float [n].
      cost: float [n], lower is better.
      front: (cost, target) of the architectures on the Pareto front, the cheapest first.
      worst: the reference point (cost, target) that bounds the area.
    """
    steps = [(cost_, target) for cost_, target in front if cost_ < worst[0] and target > worst[1]]
    heights = [worst[1], *(target for _, target in steps)]
    edges = [-np.inf, *(cost_ for cost_, _ in steps), worst[0]]
    total = np.full(len(mean), -700.0)
    for height, left, right in zip(heights, edges[:-1], edges[1:], strict=True):
        width = np.maximum(right - np.maximum(left, cost), 0.0)
        grown = log_expected_improvement(mean, deviation, height) + np.log(np.maximum(width, 1e-300))
        total = np.logaddexp(total, np.where(width > 0, grown, -700.0))
    return total
