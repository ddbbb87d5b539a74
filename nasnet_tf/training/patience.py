"""Stops a training when its validation score no longer improves."""

import math
from collections.abc import Sequence


class Patience:
    """Counts the evaluations since the best score of a training. A higher score is better.

    Args:
      most: number of evaluations in a row without a new best score after which the training stops; None to never stop it.
    """

    def __init__(self, most: int | None):
        self._most = most
        self._best, self._waited, self._best_step = -math.inf, 0, 0

    @property
    def state(self) -> list[float]:
        """Three numbers for checkpoints, so that a resumed training stops at the same step."""
        return [self._best, float(self._waited), float(self._best_step)]

    def restore(self, state: Sequence[float]) -> None:
        """Restores the counts from numbers that `state` returned."""
        self._best, self._waited, self._best_step = float(state[0]), int(state[1]), int(state[2])

    def note(self, score: float, step: int) -> None:
        """Adds the score of an evaluation after a step. An equal score is no improvement."""
        if score > self._best:
            self._best, self._waited, self._best_step = score, 0, step
        else:
            self._waited += 1

    @property
    def is_over(self) -> bool:
        """Whether the training stops now."""
        return self._most is not None and self._waited >= self._most

    def __str__(self) -> str:
        """Returns why the training stopped."""
        times = f"{self._waited} evaluation{'s' if self._waited > 1 else ''}"
        return f"stopped early: no improvement in {times}; the best score was {self._best:.4f}, at step {self._best_step}"
