"""Estimates the importance of choices: the effect of one more operation, input or combine of a kind on the reward, with error bars.

A Gaussian process fitted to the trials of a search predicts the rewards of random architectures. A linear regression of these predictions
on how often each architecture makes each choice gives the effects. The regression is linear in the predictions, so its coefficients have a
mean and a standard error in closed form. The quality of the model is measured by leave-one-out predictions.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.spread import evenly
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process
from nasnet_tf.nas.strategies.graph_features import GraphFeatures

linalg, stats = OnDemand("scipy.linalg"), OnDemand("scipy.stats")

LEAST_TRIALS = 10
_SAMPLES = 500  # number of random architectures in the regression; each cell has about 20 choices
_MAX_TRIALS = 1000  # the model is fitted to at most this many trials, evenly spaced: its time grows with the cube of their number
_CHANCE = 0.01  # a rank correlation counts only if its p-value is below this


@dataclasses.dataclass(frozen=True)
class Effect:
    """The effect of making a choice once more, with all other choices unchanged.

    Attributes:
      choice: name of the choice as "CELL: CHOICE": an operation, a use of an input, a block with a combine, a step on the longest path, ...
      mean: posterior mean of the effect, in the unit of the `Importance`.
      error: posterior standard error of the effect, in the same unit.
    """

    choice: str
    mean: float
    error: float


@dataclasses.dataclass(frozen=True)
class Importance:
    """The effects of all choices of a search, and how reliable they are.

    Attributes:
      effects: effects of all choices, ordered by how many standard errors they are away from 0, the largest first.
      is_accuracy: True if rewards are accuracies; effects are then changes of the natural logarithm of the error rate: -0.05 is 5% fewer
        errors. If False, effects are in standard deviations of the normal scores of the rewards, where larger is better.
      num_trials: number of trials that the model was fitted to.
      r2: R² of the leave-one-out predictions, on the scale of the targets.
      rank_correlation: Spearman's rank correlation of the leave-one-out predictions.
      p_value: probability that noise alone gives this rank correlation or a larger one.
    """

    effects: list[Effect]
    is_accuracy: bool
    num_trials: int
    r2: float
    rank_correlation: float
    p_value: float

    @property
    def knows_something(self) -> bool:
        """Whether the model predicts unseen trials better than chance; if not, the effects are meaningless."""
        return self.r2 > 0 and self.p_value < _CHANCE

    @property
    def unit(self) -> str:
        """The quantity that the effects measure, in words."""
        return "change of the error in percent" if self.is_accuracy else "change of the reward's normal score"

    @property
    def trust(self) -> str:
        """A sentence about the quality of the model, with R² and rank correlation."""
        numbers = (
            f"R² {self.r2:.2f} and rank correlation {self.rank_correlation:.2f}, each of {self.num_trials} trials predicted from the others"
        )
        return f"Model of the rewards: {numbers}." if self.knows_something else f"The model predicts no better than chance: {numbers}."

    def __str__(self) -> str:
        """Returns a table of the effects, in the order of `effects`."""
        factor = 100 if self.is_accuracy else 1
        width = max(len(each.choice) for each in self.effects)
        rows = [f"{each.choice:{width}}  {factor * each.mean:+8.2f} ± {factor * each.error:.2f}" for each in self.effects]
        return "\n".join([self.trust, f"{'one more':{width}}  {self.unit}", *rows])


@gaussian_process.one_thread()
def importance(space: SearchSpace, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> Importance:
    """Estimates the effect of each choice of a space from architectures and their rewards.

    If there are more than 1,000 architectures, 1,000 evenly spaced ones are used.

    Args:
      space: the search space of the architectures.
      decisions: int [n, decisions], each architecture once.
      rewards: float [n], finite.

    Raises:
      InputError: there are fewer than 10 architectures.
    """
    if len(decisions) < LEAST_TRIALS:
        raise InputError(f"importance: expected at least {LEAST_TRIALS} rewarded architectures, got {len(decisions)}")
    kept = evenly(len(decisions), _MAX_TRIALS)
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
