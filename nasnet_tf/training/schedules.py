"""Learning rates as functions of time: plain arithmetic on Python floats, in epochs.

A schedule is a function (epoch, total_epochs) -> learning rate, where epoch is a float in [0, total_epochs); the functions here make one
from its constants. The training loop evaluates it at every step.
"""

import math
from collections.abc import Callable

from nasnet_tf.errors import InputError

Schedule = Callable[[float, float], float]


def cosine_decay(initial_rate: float, warmup_epochs: float = 0.0) -> Schedule:
    """Half a cosine from initial_rate to 0 over the whole training (paper A.6), after a linear warm-up from 0."""
    _check_rate("cosine_decay", initial_rate)

    def schedule(epoch: float, total_epochs: float) -> float:
        if epoch < warmup_epochs:
            return initial_rate * epoch / warmup_epochs
        return initial_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - warmup_epochs) / max(total_epochs - warmup_epochs, 1e-9)))

    return schedule


def exponential_decay(
    initial_rate: float, decay_rate: float = 0.97, decay_epochs: float = 2.4, staircase: bool = True, warmup_epochs: float = 0.0
) -> Schedule:
    """initial_rate * decay_rate ^ (epoch / decay_epochs), the exponent rounded down if staircase (slim's ImageNet schedule)."""
    _check_rate("exponential_decay", initial_rate)

    def schedule(epoch: float, total_epochs: float) -> float:
        if epoch < warmup_epochs:
            return initial_rate * epoch / warmup_epochs
        exponent = epoch / decay_epochs
        return initial_rate * decay_rate ** (math.floor(exponent) if staircase else exponent)

    return schedule


def _check_rate(name: str, initial_rate: float) -> None:
    if not initial_rate > 0:
        raise InputError(f"{name}.initial_rate: expected a positive number, got {initial_rate!r}")
