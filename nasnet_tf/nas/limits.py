"""Limits of a search: time budget, goals, and estimates of energy and price."""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Iterable, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.values import Positive, check_fields
from nasnet_tf.nas.trials.trial import Trial

RATES_NAME = "rates.json"
_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Rates:
    """Power and price of running one child; None if unknown.

    Attributes:
      watts: electric power of a child, in watts.
      price: price of an hour of a child, in any currency.
    """

    watts: Positive | None = None
    price: Positive | None = None

    def __post_init__(self):
        check_fields(self)

    def estimate(self, child_seconds: float) -> dict[str, float]:
        """Returns {"child_hours": ...}, and "kwh" and "price" if their rates are known."""
        hours = child_seconds / _HOUR
        known = {} if self.watts is None else {"kwh": hours * self.watts / 1000}
        return {"child_hours": hours, **known, **({} if self.price is None else {"price": hours * self.price})}

    def save(self, workdir: pathlib.Path) -> None:
        """Saves the rates in the work folder, for reports; removes the file if no rates are known."""
        path = workdir / RATES_NAME
        if self == Rates():
            path.unlink(missing_ok=True)
        else:
            replace_file(path, json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, workdir: pathlib.Path) -> "Rates":
        """Loads the rates of a search; raises InputError if the file is damaged."""
        path = workdir / RATES_NAME
        try:
            return cls(**json.loads(path.read_text())) if path.is_file() else cls()
        except (ValueError, TypeError) as error:
            raise InputError(f'{path}: expected {{"watts": number or null, "price": number or null}} ({error})') from error


@dataclasses.dataclass(frozen=True)
class Goal:
    """Decides whether a search has reached its target or has stopped improving.

    Attributes:
      target: reward at which the search ends; see `SearchConfig`.
      patience: number of trainings without a better reward after which the search ends; see `SearchConfig`.
    """

    target: float | None
    patience: int | None

    def reached(self, best: Trial | None, num_since_best: int) -> str:
        """Returns the reason why the search ends, or "" if it does not end yet.

        Args:
          best: the best trial; None before the first.
          num_since_best: number of trainings that have ended since the best trial got its reward.
        """
        if best is None:
            return ""
        if self.target is not None and best.reward >= self.target:
            return f"trial {best.number} has reached the target of {self.target:g} with a reward of {best.reward:.4f}"
        if self.patience is not None and num_since_best >= self.patience:
            return f"{num_since_best} trainings since trial {best.number} have not improved on its reward of {best.reward:.4f}"
        return ""


class Budget:
    """Decides whether the time limits of a search are reached.

    Args:
      max_hours: see `SearchConfig`.
      max_child_hours: see `SearchConfig`.
      trials: the trials of the search at the start of this process.
    """

    def __init__(self, max_hours: float | None, max_child_hours: float | None, trials: Sequence[Trial]):
        self._max_hours, self._max_child_hours = max_hours, max_child_hours
        self._before = 0.0 if max_hours is None else busy_seconds(trials)
        self._began = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Time until max_hours is reached, in seconds; infinite without that limit."""
        if self._max_hours is None:
            return math.inf
        return self._max_hours * _HOUR - (self._before + time.monotonic() - self._began)

    def is_spent(self, child_seconds: float, started: Iterable[float]) -> bool:
        """Returns whether a limit is reached, so that no more children may start.

        Args:
          child_seconds: total time of all executions that have ended.
          started: start times of the running children, by the monotonic clock.
        """
        now = time.monotonic()
        if self.seconds_left <= 0:
            return True
        if self._max_child_hours is None:
            return False
        return child_seconds + sum(now - began for began in started) >= self._max_child_hours * _HOUR


def busy_seconds(trials: Sequence[Trial]) -> float:
    """Returns the total time, in seconds, during which at least one child ran. Pauses of the search do not count."""
    total, until = 0.0, 0.0
    for begin, end in sorted((end - seconds, end) for trial in trials for end, seconds in trial.executions):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
