"""Stopping a training whose validation has stopped improving."""

import math
from collections.abc import Sequence


class Patience:
    """Watches the scores of a training's evaluations, of which the larger is the better.

    Args:
      most: evaluations in a row without a better score than the best before, after which the training stops; None for never.
    """

    def __init__(self, most: int | None):
        self._most = most
        self._best, self._waited, self._best_step = -math.inf, 0, 0

    @property
    def state(self) -> list[float]:
        """What a checkpoint keeps, for a resumed training to stop at the same step: three numbers."""
        return [self._best, float(self._waited), float(self._best_step)]

    def restore(self, state: Sequence[float]) -> None:
        """Takes what `state` gave."""
        self._best, self._waited, self._best_step = float(state[0]), int(state[1]), int(state[2])

    def note(self, score: float, step: int) -> None:
        """Takes in the score of the evaluation after so many steps. An equal score is no improvement."""
        if score > self._best:
            self._best, self._waited, self._best_step = score, 0, step
        else:
            self._waited += 1

    @property
    def is_over(self) -> bool:
        """Whether the training stops now."""
        return self._most is not None and self._waited >= self._most

    def __str__(self) -> str:
        """Why the training stopped."""
        times = f"{self._waited} evaluation{'s' if self._waited > 1 else ''}"
        return f"stopped early: no improvement in {times}; the best score was {self._best:.4f}, at step {self._best_step}"
