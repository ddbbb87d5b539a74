"""What a model-guided strategy has learned: rewards of architectures, and a Gaussian process that predicts others.

Rewards have levels: a first training, and the longer ones of successive halving. Predicted rewards of children that were stopped early
count for less. What the same architectures earned on other data can be the prior mean, as far as the rewards here agree with it.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.graph_features import GraphFeatures

Decisions = tuple[int, ...]

_MOST_TRIALS = 300  # that the model sees: the best and the newest, half each, so that a proposal's time is bounded
_REFIT = 1.1  # the noise is fitted again when the trials that the model sees have grown by this factor
_SCALE_SAMPLES = 1000  # random architectures, over which features have mean 0 and standard deviation 1
_DIGITS = 6  # that scores are compared to: those after them depend on the machine
_PREDICTED_NOISE = 3.0  # variance of the noise of a predicted reward over that of a measured one
_LONGER = 3.0  # by which that of a longer training is smaller, for each rung: trainings are so much longer by default
_PRIOR_SHARES = (0.0, 0.5, 1.0)  # of the prior mean, of which the rewards choose one
_COST_NOISE = 1e-3  # variance over that of the kernel: costs are measured exactly, or nearly so


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The model after some trials, and after pending architectures, which count as if they had done as expected.

    Attributes:
      seen: indices of the trials that it has seen.
      expected: mean of their targets without noise, float [seen].
      targets: of all trials.
    """

    seen: list[int]
    expected: np.ndarray
    targets: gaussian_process.Targets
    _model: "RewardModel"
    _fit: gaussian_process.Fit
    _prior_share: float

    def of(self, decisions: Sequence[Decisions]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, float [m] each, of the targets of architectures."""
        inputs = self._model.scaled(decisions)
        mean, deviation = self._fit.predict(inputs)
        return mean + self._prior_share * self._model.prior_mean(inputs), deviation

    def samples(self, decisions: Sequence[Decisions], count: int) -> np.ndarray:
        """Float [count, m]: joint draws of the targets of architectures, always the same ones."""
        values, vectors = np.linalg.eigh(self._fit.covariance(self._model.scaled(decisions)))
        draws = np.random.RandomState(0).standard_normal((count, len(values)))
        return self.of(decisions)[0] + draws @ (vectors * np.sqrt(np.maximum(values, 0.0))).T


class RewardModel:
    """Rewards of architectures of a space, and a Gaussian process on features of their graphs.

    Attributes:
      decisions: of the trials, in the order in which they were added.
      costs: of the trials; NaN where unknown.
      noise_ratio: variance of the noise over that of the kernel, as it was fitted last.
    """

    def __init__(self, space: SearchSpace):
        self._features, sizes = GraphFeatures(space), np.array(space.sizes)
        self._num_decisions = len(sizes)
        sample = (np.random.RandomState(0).random_sample((_SCALE_SAMPLES, len(sizes))) * sizes).astype(int)
        self._scale = gaussian_process.Scale(self._features(sample))
        self.decisions: list[Decisions] = []
        self.costs: list[float] = []
        self._inputs: list[np.ndarray] = []
        self._rewards: list[list[float]] = []  # at each rung
        self._is_predicted: list[bool] = []
        self._prior: gaussian_process.Fit | None = None
        self.noise_ratio, self._prior_share, self._fitted_trials = gaussian_process.NOISE_RATIOS[-1], 0.0, 0

    def __len__(self) -> int:
        return len(self.decisions)

    def scaled(self, decisions: Sequence[Decisions]) -> np.ndarray:
        """Scaled features, float [m, features]."""
        return self._scale(self._features(decisions))

    def add(self, decisions: Decisions, reward: float, is_predicted: bool = False, cost: float = math.nan) -> None:
        """Learns the reward of a first training, and a cost where it is known."""
        self.decisions.append(decisions)
        self.costs.append(cost)
        self._inputs.append(self.scaled([decisions])[0])
        self._rewards.append([reward])
        self._is_predicted.append(is_predicted)

    def add_longer(self, decisions: Decisions, reward: float) -> None:
        """Learns the reward of a longer training of the newest trial with these decisions."""
        self._rewards[len(self) - 1 - self.decisions[::-1].index(decisions)].append(reward)

    def prime(self, decisions: Sequence[Decisions], rewards: Sequence[float]) -> None:
        """Takes what architectures earned on other data as the prior mean."""
        self._prior = gaussian_process.fitted(self.scaled(decisions), gaussian_process.targets(np.asarray(rewards, float)).values)

    @property
    def is_primed(self) -> bool:
        """Whether there is a prior mean."""
        return self._prior is not None

    def prior_mean(self, inputs: np.ndarray) -> np.ndarray:
        """Float [m], of targets; 0 without a prior."""
        return np.zeros(len(inputs)) if self._prior is None else self._prior.predict(inputs)[0]

    def predict(self, pending: Sequence[Decisions] = (), may_refit: bool = True) -> Prediction:
        """The model of now; it has seen at least one trial.

        Args:
          may_refit: the noise and the share of the prior are fitted again where enough trials have come since, which changes the state.
        """
        targets = gaussian_process.targets(self._levels())
        seen = list(range(len(self)))
        if len(seen) > _MOST_TRIALS:
            half = _MOST_TRIALS // 2
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
        """Chooses the noise, and how much of the prior mean to believe, by marginal likelihood."""
        shares = _PRIOR_SHARES if self.is_primed else (0.0,)
        fits = [gaussian_process.best_noise_ratio(covariance, values - share * prior, noise) for share in shares]
        best = int(np.argmax([round(likelihood, _DIGITS) for _, likelihood in fits]))
        self.noise_ratio, self._prior_share, self._fitted_trials = fits[best][0], shares[best], len(values)

    def predicted_costs(self, decisions: Sequence[Decisions]) -> np.ndarray:
        """Natural logarithms of the costs of architectures, float [m], from those of the newest trials."""
        known = [at for at, cost in enumerate(self.costs) if not math.isnan(cost)][-_MOST_TRIALS:]
        inputs, values = np.array(self._inputs)[known], np.log([self.costs[at] for at in known])
        fit = gaussian_process.fit(inputs, values - values.mean(), np.full(len(known), _COST_NOISE), inputs[:0])
        return values.mean() + fit.predict(self.scaled(decisions))[0]

    def _levels(self) -> np.ndarray:
        most = max(map(len, self._rewards))
        return np.array([[*rewards, *[math.nan] * (most - len(rewards))] for rewards in self._rewards])

    def state(self) -> dict[str, np.ndarray]:
        """All that calls have changed, but for the prior, which a strategy is given again."""
        return {
            "decisions": np.array(self.decisions, np.int32).reshape(len(self), self._num_decisions),
            "rewards": self._levels() if len(self) else np.zeros((0, 1)),
            "is_predicted": np.array(self._is_predicted, bool),
            "costs": np.array(self.costs),
            "fitted": np.array([self.noise_ratio, self._prior_share, self._fitted_trials]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes over what `state` returned; other entries are ignored."""
        self.decisions = list(map(tuple, state["decisions"].tolist()))
        self._inputs = list(self.scaled(self.decisions)) if self.decisions else []
        self._rewards = [[reward for reward in row if not math.isnan(reward)] for row in state["rewards"].tolist()]
        self._is_predicted, self.costs = state["is_predicted"].tolist(), state["costs"].tolist()
        self.noise_ratio, self._prior_share, fitted = state["fitted"].tolist()
        self._fitted_trials = int(fitted)
