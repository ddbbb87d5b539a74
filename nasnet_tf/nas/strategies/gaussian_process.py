"""A Gaussian process over architectures: what rewards to expect, and how sure that is.

The kernel is half linear and half Matern 5/2 in features that are scaled by their spread over the search space. Its shape is fixed: with
tens of noisy rewards, tuning length scales and weights by marginal likelihood overfits. Only the share of noise is fitted.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from nasnet_tf.base.extras import OnDemand

linalg, special, threadpoolctl = OnDemand("scipy.linalg"), OnDemand("scipy.special"), OnDemand("threadpoolctl")

LINEAR_SHARE = 0.5  # of the kernel; 0.2 to 0.8 rank real architectures alike
LENGTH_SCALE = 2**0.5  # of the Matern kernel, in root-mean-square distance per feature: that of two random architectures
NOISE_RATIOS = tuple(np.geomspace(0.001, 3.0, 10).tolist())  # variance of the noise over that of the kernel
_SMALLEST_ERROR = 1e-4  # an accuracy of 1 counts as one of 0.9999
_BOUND = 3.0  # times (third quartile - median): two standard deviations of a normal distribution


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one core: matrices are small here, and threads that wait for cores which children have cost more than they help."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries():
    linalg.cholesky  # noqa: B018  SciPy brings a library of its own, which is found only once it is loaded
    return threadpoolctl.ThreadpoolController()


class Scale:
    """Features with mean 0 and standard deviation 1 over a sample; those that do not vary in it are left out.

    Args:
      sample: float [n, features].
    """

    def __init__(self, sample: np.ndarray):
        spread = sample.std(axis=0)
        self._varies = spread > 1e-9
        self._mean, self._spread = sample.mean(axis=0)[self._varies], spread[self._varies]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Float [m, features that vary] of features, float [m, features]."""
        return (features[:, self._varies] - self._mean) / self._spread


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the model predicts instead of rewards: bounded below, with mean 0 and standard deviation 1.

    Attributes:
      values: float [n].
      is_accuracy: values are minus the logarithms of errors; else normal scores of ranks.
      mean, scale: of the values before they were standardized.
    """

    values: np.ndarray
    is_accuracy: bool
    mean: float
    scale: float

    def accuracies(self, values: np.ndarray) -> np.ndarray:
        """The accuracies that have such values."""
        return 1 - np.exp(-(values * self.scale + self.mean))


def targets(rewards: np.ndarray) -> Targets:
    """What the model learns of rewards.

    Accuracies become minus the logarithm of the error. Rewards that are no accuracies become normal scores of their ranks, which need no
    scale. Values far below the median are raised to a bound, which the upper half of the values determines. So failed trainings have no
    leverage.

    Args:
      rewards: float [n] or [n, levels], finite: of each architecture after a first training, and after longer ones, which the best had;
        NaN where it had none. The reward of the longest one counts. Longer trainings give higher rewards to all, so their values are
        shifted to the mean that the same architectures had before.
    """
    rewards = rewards.reshape(len(rewards), -1)
    known = rewards[~np.isnan(rewards)]
    is_accuracy = bool(np.all((known >= 0) & (known <= 1)))
    levels = (-np.log(np.maximum(1 - rewards, _SMALLEST_ERROR)) if is_accuracy else rewards).T
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
    values = np.maximum(values, median - _BOUND * (upper - median)) if upper > median else values
    spread = values.std()
    scale = float(spread) if spread > 1e-9 else 1.0
    return Targets((values - values.mean()) / scale, is_accuracy, float(values.mean()), scale)


def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Float [n, m], the prior covariance of scaled features, [n, features] and [m, features]."""
    width = one.shape[1]
    found = one @ other.T
    distance = found * -2.0  # in place from here on: this is where most of a proposal's time goes
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
    """The noise ratio of the highest marginal likelihood, and that likelihood's logarithm, up to a constant.

    Args:
      covariance: kernel of the trials, float [n, n].
      values: their targets, float [n].
      noise: float [n], the noise of each trial as a multiple of that of a whole training.
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
    """A Gaussian process that has seen trials.

    Attributes:
      inputs: scaled features of the trials, float [n, features].
      lower: Cholesky factor of their covariance with noise, [n, n].
      weights: what each trial contributes to a mean, [n].
      variance: by which the kernel is multiplied.
      expected: mean of the targets of the trials without their noise, [n]; without pending ones.
    """

    inputs: np.ndarray
    lower: np.ndarray
    weights: np.ndarray
    variance: float
    expected: np.ndarray

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, float [m] each, of the targets without noise."""
        across = kernel(inputs, self.inputs)
        white = linalg.solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        prior = LINEAR_SHARE * (inputs * inputs).sum(axis=1) / inputs.shape[1] + 1 - LINEAR_SHARE
        return across @ self.weights, np.sqrt(self.variance * np.maximum(prior - (white * white).sum(axis=0), 1e-9))

    def covariance(self, inputs: np.ndarray) -> np.ndarray:
        """Float [m, m], of the targets without noise of architectures, whose scaled features are float [m, features]."""
        white = linalg.solve_triangular(self.lower, kernel(inputs, self.inputs).T, lower=True, check_finite=False)
        return self.variance * (kernel(inputs, inputs) - white.T @ white)

    def combinations(self, inputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard error, float [k] each, of k weighted sums of the targets without noise.

        Args:
          inputs: scaled features, float [m, features].
          weights: float [k, m].
        """
        across = weights @ kernel(inputs, self.inputs)
        white = linalg.solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        variances = ((weights @ kernel(inputs, inputs)) * weights).sum(axis=1) - (white * white).sum(axis=0)
        return across @ self.weights, np.sqrt(self.variance * np.maximum(variances, 0.0))

    def left_out(self, values: np.ndarray) -> np.ndarray:
        """What the model predicts for each of its trials from the others, float [n], in closed form."""
        inverse = linalg.cho_solve((self.lower, True), np.eye(len(values)), check_finite=False)
        return values - self.weights / np.diag(inverse)


def fit(inputs: np.ndarray, values: np.ndarray, noise: np.ndarray, pending: np.ndarray) -> Fit:
    """Conditions the process on trials, and on pending architectures as if their rewards were what it expects ("kriging believer").

    Args:
      inputs: scaled features of the trials, float [n, features].
      values: their targets, float [n].
      noise: variance of the noise of each trial over that of the kernel, float [n].
      pending: scaled features of architectures without a reward, float [m, features].
    """
    covariance = kernel(inputs, inputs)
    lower = linalg.cholesky(covariance + np.diag(noise), lower=True, check_finite=False)
    weights = linalg.cho_solve((lower, True), values, check_finite=False)
    variance = max(float(values @ weights) / len(values), 1e-9)
    expected = values - noise * weights
    if not len(pending):
        return Fit(inputs, lower, weights, variance, expected)
    # Expected values change no mean, so that the weights of the pending ones are 0; only the factor grows.
    corner = linalg.solve_triangular(lower, kernel(inputs, pending), lower=True, check_finite=False)
    rest = kernel(pending, pending) - corner.T @ corner + np.median(noise) * np.eye(len(pending))
    size = len(lower)
    grown = np.zeros((size + len(pending),) * 2)
    grown[:size, :size], grown[size:, :size] = lower, corner.T
    grown[size:, size:] = linalg.cholesky(rest, lower=True, check_finite=False)
    return Fit(np.concatenate([inputs, pending]), grown, np.concatenate([weights, np.zeros(len(pending))]), variance, expected)


def fitted(inputs: np.ndarray, values: np.ndarray) -> Fit:
    """The process after trials that are alike, with the noise that fits them best; arguments as for `fit`."""
    noise = np.ones(len(values))
    ratio, _ = best_noise_ratio(kernel(inputs, inputs), values, noise)
    return fit(inputs, values, ratio * noise, inputs[:0])


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Natural logarithm of the expected improvement on `best`, float [n]; finite however small that is."""
    z = np.maximum((mean - best) / deviation, -1e8)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    direct = np.log(np.maximum(z * special.ndtr(z) + density, 1e-300))
    far = -z * z / 2 - np.log(np.sqrt(2 * np.pi)) - 2 * np.log(np.maximum(-z, 1.0))  # its asymptote
    return np.log(deviation) + np.where(z > -10, direct, far)


def log_hypervolume_improvement(
    mean: np.ndarray, deviation: np.ndarray, cost: np.ndarray, front: Sequence[tuple[float, float]], worst: tuple[float, float]
) -> np.ndarray:
    """Natural logarithm of the expected growth of the area below a Pareto front of targets over costs, float [n].

    A cost is taken as known. Below a front, the best target that is to be had for each cost is a staircase; an architecture raises it from
    its own cost on, so the expected growth is a sum over the stairs of their widths times the expected improvements on their heights.

    Args:
      mean, deviation: of the targets of n architectures, float [n].
      cost: float [n], lower is better.
      front: (cost, target) of the architectures that none beats in both, the cheapest first.
      worst: (cost, target) that bound the area.
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
