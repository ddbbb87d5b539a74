"""The model of a model-guided strategy: the rewards seen so far, and a Gaussian process that predicts the rewards of other architectures.

Rewards have levels: one for an architecture's first training, and one for each longer training by successive halving. Rewards that were
predicted for children stopped early count for less. Infeasible architectures, which have no reward, count as bad ones. Rewards of another
data set can serve as the prior mean, to the extent that the rewards of this search agree with them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nasnet_tf.base.spread import evenly
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.graph_features import GraphFeatures

Decisions = tuple[int, ...]

_MAX_TRIALS = 300  # the model is fitted to at most this many trials, half the best and half the newest: this bounds the time of a proposal
_REFIT = 1.1  # the noise is fitted again each time the number of fitted trials has grown by this factor
_MAX_PRIOR = 1000  # the prior mean is fitted to at most this many trials
_SCALE_SAMPLES = 1000  # random architectures used to standardize the features
_DIGITS = 6  # scores are rounded to this many decimals before they are compared, because later digits differ between machines
_PREDICTED_NOISE = 3.0  # noise variance of a predicted reward, as a multiple of a measured reward's
_LONGER = 3.0  # each rung divides the noise variance by this; by default each rung also trains this many times longer
_PRIOR_SHARES = (0.0, 0.5, 1.0)  # candidate weights of the prior mean; the likelihood of the rewards selects one
_COST_NOISE = 1e-3  # noise variance of a cost, as a multiple of the kernel's: costs are measured almost exactly


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The fitted model at one point of the search. Each pending architecture is assumed to get the reward the model expects for it.

    Attributes:
      seen: indices of the trials the model was fitted to.
      expected: posterior mean of the noise-free targets of these trials, float [seen].
      targets: the targets of all trials.
    """

    seen: list[int]
    expected: np.ndarray
    targets: gaussian_process.Targets
    _model: "RewardModel"
    _fit: gaussian_process.Fit
    _prior_share: float

    def of(self, decisions: Sequence[Decisions]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the standard deviation of the targets of m architectures, float [m] each."""
        inputs = self._model.scaled(decisions)
        mean, deviation = self._fit.predict(inputs)
        return mean + self._prior_share * self._model.prior_mean(inputs), deviation

    def samples(self, decisions: Sequence[Decisions], count: int) -> np.ndarray:
        """Draws `count` joint samples of the targets of m architectures, float [count, m]; the random seed is fixed."""
        values, vectors = np.linalg.eigh(self._fit.covariance(self._model.scaled(decisions)))
        draws = np.random.RandomState(0).standard_normal((count, len(values)))
        return self.of(decisions)[0] + draws @ (vectors * np.sqrt(np.maximum(values, 0.0))).T


class RewardModel:
    """Records the rewards of architectures and predicts others with a Gaussian process on features of the cells' graphs.

    Attributes:
      decisions: decisions of each trial, in the order in which the trials were added.
      costs: cost of each trial; NaN where it is unknown.
      noise_ratio: ratio of the noise variance to the kernel variance, from the last fit.
    """

    def __init__(self, space: SearchSpace):
        self._features, sizes = GraphFeatures(space), np.array(space.sizes)
        self._num_decisions = len(sizes)
        sample = (np.random.RandomState(0).random_sample((_SCALE_SAMPLES, len(sizes))) * sizes).astype(int)
        self._scale = gaussian_process.Scale(self._features(sample))
        self.decisions: list[Decisions] = []
        self.costs: list[float] = []
        self._inputs: list[np.ndarray] = []
        self._rewards: list[list[float]] = []  # for each trial, its reward at each rung; empty for an infeasible architecture
        self._infeasible: set[Decisions] = set()
        self._is_predicted: list[bool] = []
        self._prior_trials: list[tuple[np.ndarray, np.ndarray]] = []  # inputs and targets of each search on other data
        self._prior: gaussian_process.Fit | None = None
        self.noise_ratio, self._prior_share, self._fitted_trials = gaussian_process.NOISE_RATIOS[-1], 0.0, 0

    def __len__(self) -> int:
        return len(self.decisions)

    def scaled(self, decisions: Sequence[Decisions]) -> np.ndarray:
        """Returns the standardized features of m architectures, float [m, features]."""
        return self._scale(self._features(decisions))

    @property
    def num_rewarded(self) -> int:
        """Number of trials with a reward."""
        return len(self) - len(self._infeasible)

    def add(self, decisions: Decisions, reward: float, is_predicted: bool = False, cost: float = math.nan) -> None:
        """Adds a trial with the reward of its first training, and its cost if that is known."""
        if decisions in self._infeasible:  # only its machine was: it has run on another one
            self._remove(decisions)
        self._append(decisions, [reward], is_predicted, cost)

    def add_infeasible(self, decisions: Decisions) -> None:
        """Adds a trial of an architecture that cannot get a reward, unless the architecture is known."""
        if decisions not in self.decisions:
            self._append(decisions, [], False, math.nan)
            self._infeasible.add(decisions)

    def _append(self, decisions: Decisions, rewards: list[float], is_predicted: bool, cost: float) -> None:
        self.decisions.append(decisions)
        self.costs.append(cost)
        self._inputs.append(self.scaled([decisions])[0])
        self._rewards.append(rewards)
        self._is_predicted.append(is_predicted)

    def _remove(self, decisions: Decisions) -> None:
        self._infeasible.remove(decisions)
        at = self.decisions.index(decisions)
        for values in (self.decisions, self.costs, self._inputs, self._rewards, self._is_predicted):
            del values[at]

    def add_longer(self, decisions: Decisions, reward: float) -> None:
        """Adds the reward of a longer training to the newest trial that has these decisions."""
        self._rewards[len(self) - 1 - self.decisions[::-1].index(decisions)].append(reward)

    def prime(self, decisions: Sequence[Decisions], rewards: Sequence[float]) -> None:
        """Fits the prior mean to rewards that architectures got on other data, and to those of earlier calls, each on its own scale."""
        self._prior_trials.append((self.scaled(decisions), gaussian_process.targets(np.asarray(rewards, float)).values))
        inputs, values = map(np.concatenate, zip(*self._prior_trials, strict=True))
        kept = evenly(len(values), _MAX_PRIOR)  # over all searches
        self._prior = gaussian_process.fitted(inputs[kept], values[kept])

    @property
    def is_primed(self) -> bool:
        """Whether a prior mean has been set."""
        return self._prior is not None

    def prior_mean(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the prior mean of the targets, float [m]; zeros if no prior was set.

        Args:
          inputs: standardized features, float [m, features].
        """
        return np.zeros(len(inputs)) if self._prior is None else self._prior.mean(inputs)

    def predict(self, pending: Sequence[Decisions] = (), may_refit: bool = True) -> Prediction:
        """Fits the model to the trials so far, of which at least one must have a reward, and returns it.

        Args:
          pending: architectures whose rewards have not arrived yet.
          may_refit: whether the noise ratio and the weight of the prior may be fitted again. This happens when enough trials have been
            added since the last fit, and it changes the state.
        """
        targets = gaussian_process.targets(self._levels())
        seen = list(range(len(self)))
        if len(seen) > _MAX_TRIALS:
            half = _MAX_TRIALS // 2
            best = np.argsort(-np.round(targets.values[:-half], _DIGITS), kind="stable")[:half].tolist()
            seen = sorted(best) + seen[-half:]
        inputs, values = np.array(self._inputs)[seen], targets.values[seen]
        noise = np.array([_PREDICTED_NOISE if self._is_predicted[at] else _LONGER ** (1 - len(self._rewards[at])) for at in seen])
        prior = self.prior_mean(inputs)
        if may_refit and len(values) >= self._fitted_trials * _REFIT:
            self._refit(gaussian_process.kernel(inputs, inputs), values, prior, noise)
        unknown = self.scaled(pending) if pending else inputs[:0]
        fit = gaussian_process.fit(inputs, values - self._prior_share * prior, self.noise_ratio * noise, unknown)
        return Prediction(seen, fit.expected + self._prior_share * prior, targets, self, fit, self._prior_share)

    def _refit(self, covariance: np.ndarray, values: np.ndarray, prior: np.ndarray, noise: np.ndarray) -> None:
        """Selects the noise ratio and the weight of the prior mean that have the highest marginal likelihood."""
        shares = _PRIOR_SHARES if self.is_primed else (0.0,)
        fits = [gaussian_process.best_noise_ratio(covariance, values - share * prior, noise) for share in shares]
        best = int(np.argmax([round(likelihood, _DIGITS) for _, likelihood in fits]))
        self.noise_ratio, self._prior_share, self._fitted_trials = fits[best][0], shares[best], len(values)

    def cost_model(self) -> Callable[[Sequence[Decisions]], np.ndarray]:
        """Returns a function that predicts the natural logarithm of the cost of m architectures, float [m].

        It is fitted to the costs of the newest trials.
        """
        known = [at for at, cost in enumerate(self.costs) if not math.isnan(cost)][-_MAX_TRIALS:]
        inputs, values = np.array(self._inputs)[known], np.log([self.costs[at] for at in known])
        fit = gaussian_process.fit(inputs, values - values.mean(), np.full(len(known), _COST_NOISE), inputs[:0])
        return lambda decisions: values.mean() + fit.mean(self.scaled(decisions))

    def _levels(self) -> np.ndarray:
        most = max(1, *map(len, self._rewards))
        return np.array([[*rewards, *[math.nan] * (most - len(rewards))] for rewards in self._rewards])

    def state(self) -> dict[str, np.ndarray]:
        """Returns everything that calls have changed, except the prior: `prime` has to set that again."""
        return {
            "decisions": np.array(self.decisions, np.int32).reshape(len(self), self._num_decisions),
            "rewards": self._levels() if len(self) else np.zeros((0, 1)),
            "is_predicted": np.array(self._is_predicted, bool),
            "costs": np.array(self.costs),
            "fitted": np.array([self.noise_ratio, self._prior_share, self._fitted_trials]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned; ignores entries with other names."""
        self.decisions = list(map(tuple, state["decisions"].tolist()))
        self._inputs = list(self.scaled(self.decisions)) if self.decisions else []
        self._rewards = [[reward for reward in row if not math.isnan(reward)] for row in state["rewards"].tolist()]
        self._infeasible = {each for each, rewards in zip(self.decisions, self._rewards, strict=True) if not rewards}
        self._is_predicted, self.costs = state["is_predicted"].tolist(), state["costs"].tolist()
        self.noise_ratio, self._prior_share, fitted = state["fitted"].tolist()
        self._fitted_trials = int(fitted)
