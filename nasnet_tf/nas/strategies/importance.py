"""Which choices a model credits: what one more of an operation, of an input, of a combine is worth, with error bars.

A Gaussian process that has seen the trials of a search predicts random architectures, and a linear regression on how often each of them
makes a choice says what the choices add. Regression is linear in the predictions, so its coefficients have a mean and a standard error in
closed form. How far to trust the model is measured on trials that it has not seen.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.graph_features import GraphFeatures

linalg, stats = OnDemand("scipy.linalg"), OnDemand("scipy.stats")

LEAST_TRIALS = 10
_SAMPLES = 500  # random architectures; each cell has about 20 choices
_MOST_TRIALS = 1000  # that the model sees, spread evenly: its time grows with their cube
_CHANCE = 0.01  # a rank correlation that pure noise gives with a probability above this is none


@dataclasses.dataclass(frozen=True)
class Effect:
    """What one more of a choice adds, the other choices being made as often as before.

    Attributes:
      choice: an operation, a use of an input, a block with a combine, a step on the longest path, ...; "CELL: CHOICE".
      mean, error: posterior mean and standard error, in the unit of the Importance.
    """

    choice: str
    mean: float
    error: float


@dataclasses.dataclass(frozen=True)
class Importance:
    """What the trials of a search say about its choices.

    Attributes:
      effects: of all choices, those that are surest not to be 0 first.
      is_accuracy: effects are changes of the error rate, as a natural logarithm: -0.05 is 5% fewer errors. If False, rewards are no
        accuracies, and effects are in standard deviations of the rewards' normal scores, larger being better.
      num_trials: architectures that the model has seen.
      r2, rank_correlation: of predictions of each trial from all others; r2 is in the model's scale, rank_correlation is Spearman's.
      p_value: the probability that noise alone has such a rank correlation or a larger one.
    """

    effects: list[Effect]
    is_accuracy: bool
    num_trials: int
    r2: float
    rank_correlation: float
    p_value: float

    @property
    def knows_something(self) -> bool:
        """Whether the model predicts trials that it has not seen better than chance; if not, the effects mean nothing."""
        return self.r2 > 0 and self.p_value < _CHANCE

    @property
    def unit(self) -> str:
        """What the effects are, in words."""
        return "change of the error in percent" if self.is_accuracy else "change of the reward's normal score"

    @property
    def trust(self) -> str:
        """How far to trust the model, in words."""
        numbers = (
            f"R² {self.r2:.2f} and rank correlation {self.rank_correlation:.2f}, each of {self.num_trials} trials predicted from the others"
        )
        return f"Of a model of the rewards: {numbers}." if self.knows_something else f"The model knows nothing: {numbers}."

    def __str__(self) -> str:
        """A table, the surest effects first."""
        factor = 100 if self.is_accuracy else 1
        width = max(len(each.choice) for each in self.effects)
        rows = [f"{each.choice:{width}}  {factor * each.mean:+8.2f} ± {factor * each.error:.2f}" for each in self.effects]
        return "\n".join([self.trust, f"{'one more':{width}}  {self.unit}", *rows])


@gaussian_process.one_thread()
def importance(space: SearchSpace, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> Importance:
    """What rewarded architectures say about the choices of their space; of more than 1,000, so many that are spread evenly.

    Args:
      space: of the architectures.
      decisions: int [n, decisions], each architecture once.
      rewards: float [n], finite.

    Raises:
      InputError: fewer than 10 architectures.
    """
    if len(decisions) < LEAST_TRIALS:
        raise InputError(f"importance: expected at least {LEAST_TRIALS} rewarded architectures, got {len(decisions)}")
    kept = np.unique(np.linspace(0, len(decisions) - 1, _MOST_TRIALS).round().astype(int)) if len(decisions) > _MOST_TRIALS else slice(None)
    decisions, rewards = np.asarray(decisions)[kept], np.asarray(rewards, float)[kept]
    features = GraphFeatures(space)
    sizes = np.array(space.sizes)
    raw = features((np.random.RandomState(0).random_sample((_SAMPLES, len(sizes))) * sizes).astype(int))
    scale = gaussian_process.Scale(raw)
    inputs, sample = scale(features(decisions)), scale(raw)
    targets = gaussian_process.targets(rewards)
    values = targets.values
    fit = gaussian_process.fitted(inputs, values)
    names, counts = features.counts(raw)
    mean, error = fit.combinations(sample, np.linalg.pinv(counts - counts.mean(axis=0), rcond=1e-8))
    unit = -targets.scale if targets.is_accuracy else 1.0  # a larger target is a smaller error
    effects = [Effect(name, unit * float(m), abs(unit) * float(e)) for name, m, e in zip(names, mean, error, strict=True)]
    unseen = fit.left_out(values)
    is_constant = np.ptp(values) == 0
    correlation, p_value = (0.0, 1.0) if is_constant else stats.spearmanr(values, unseen, alternative="greater")
    return Importance(
        effects=sorted(effects, key=lambda each: -abs(each.mean) / max(each.error, 1e-12)),
        is_accuracy=targets.is_accuracy,
        num_trials=len(values),
        r2=float(1 - np.mean((values - unseen) ** 2) / max(np.var(values), 1e-12)),
        rank_correlation=float(correlation),
        p_value=float(p_value),
    )
