"""Learning rates as functions of time: plain arithmetic on Python floats, in epochs.

A schedule is a function (epoch, total_epochs, batch_size) -> learning rate, where epoch is a float in [0, total_epochs) and batch_size that
of all replicas together; the functions here make one from its constants. The training loop evaluates it at every step.
"""

import math
from collections.abc import Callable
from typing import Annotated

from nasnet_tf.base.values import NotNegative, Positive, PositivePart, PositiveShare, Within, checked

Schedule = Callable[[float, float, int], float]
Boundaries = Annotated[
    tuple[Positive, ...],
    Within("positive numbers, each larger than the one before", lambda epochs: list(epochs) == sorted(set(epochs))),
]


@checked
def cosine_decay(initial_rate: Positive, warmup_epochs: NotNegative = 0.0) -> Schedule:
    """Half a cosine from initial_rate to 0 over the whole training (paper A.6), or over what follows a linear warm-up from 0.

    The warm-up does not count into the cosine, which begins at initial_rate after it.

    Args:
      initial_rate: the highest rate.
      warmup_epochs: epochs of the warm-up; may be a fraction.

    Returns:
      A function (epoch, total epochs, batch size) -> learning rate.
    """

    def schedule(epoch: float, total_epochs: float, batch_size: int) -> float:
        if epoch < warmup_epochs:
            return initial_rate * epoch / warmup_epochs
        return initial_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - warmup_epochs) / max(total_epochs - warmup_epochs, 1e-9)))

    return schedule


@checked
def exponential_decay(
    rate_per_256: Positive,
    decay_rate: PositivePart = 0.97,
    decay_epochs: Positive = 2.4,
    staircase: bool = True,
    warmup_epochs: NotNegative = 0.0,
) -> Schedule:
    """initial rate * decay_rate ^ (epoch / decay_epochs), the exponent rounded down if staircase (slim's notes).

    The warm-up, linear from 0, takes the place of the first epochs and counts into the decay, as in Google's TPU code: with the defaults
    and 3 epochs of it, the rate rises to the initial rate and goes on at 0.97 of it.

    Args:
      rate_per_256: the initial rate for a batch of 256 images; for others in proportion (linear scaling).
      decay_rate: a factor in (0, 1].
      decay_epochs: between two applications of that factor.
      staircase: whether the rate stays constant between two applications; otherwise it falls in every step.
      warmup_epochs: epochs of the warm-up; may be a fraction.

    Returns:
      A function (epoch, total epochs, batch size) -> learning rate.
    """

    def schedule(epoch: float, total_epochs: float, batch_size: int) -> float:
        initial_rate = rate_per_256 * batch_size / 256
        if epoch < warmup_epochs:
            return initial_rate * epoch / warmup_epochs
        exponent = epoch / decay_epochs
        return initial_rate * decay_rate ** (math.floor(exponent) if staircase else exponent)

    return schedule


@checked
def step_decay(initial_rate: Positive, boundary_epochs: Boundaries, factor: PositiveShare = 0.1) -> Schedule:
    """initial_rate, times factor from each boundary on; boundaries ascend, in epochs."""

    def schedule(epoch: float, total_epochs: float, batch_size: int) -> float:
        return initial_rate * factor ** sum(epoch >= boundary for boundary in boundary_epochs)

    return schedule
