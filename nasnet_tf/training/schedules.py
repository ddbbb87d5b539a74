"""Learning rates as functions of time in epochs: plain arithmetic on Python floats.

A schedule is a function (epoch, total_epochs, batch_size) -> learning rate. The epoch is a float in [0, total_epochs), and the batch size
is that of all replicas together. The functions here make a schedule from its constants. The training loop evaluates it at every step.
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
    """Returns a schedule that follows half a cosine from initial_rate to 0 (paper A.6), after an optional linear warm-up from 0.

    The cosine begins at initial_rate after the warm-up and covers the rest of the training.

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
    """Returns a schedule: initial rate * decay_rate ^ (epoch / decay_epochs), with the exponent rounded down if staircase (slim's notes).

    The warm-up is linear from 0. It replaces the first epochs of the decay instead of delaying it, as in Google's TPU code: with the
    defaults and a warm-up of 3 epochs, the rate rises to the initial rate and continues at 0.97 of it.

    Args:
      rate_per_256: initial rate for a batch of 256 images; it is proportional to the batch size (linear scaling).
      decay_rate: factor in (0, 1].
      decay_epochs: epochs between two applications of decay_rate.
      staircase: True to keep the rate constant between two applications; False to lower it at every step.
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
    """Returns a schedule that starts at initial_rate and is multiplied by a factor at each boundary.

    Args:
      initial_rate: rate before the first boundary.
      boundary_epochs: boundaries in epochs, ascending.
      factor: factor at each boundary.

    Returns:
      A function (epoch, total epochs, batch size) -> learning rate.
    """

    def schedule(epoch: float, total_epochs: float, batch_size: int) -> float:
        return initial_rate * factor ** sum(epoch >= boundary for boundary in boundary_epochs)

    return schedule
