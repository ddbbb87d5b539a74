"""How much a search may spend, and what it has spent."""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Iterable, Sequence

from nasnet_tf.errors import InputError
from nasnet_tf.files import replace_file
from nasnet_tf.nas.journal import Trial

RATES_NAME = "rates.json"
_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds beside the number of trials; whichever is reached first ends a search. It goes on when they are raised.

    Those of time start no more children once they are reached; those that run may end.

    Attributes:
      max_trainings: children that are trained, 1 or more: trials but for those of known architectures, which get the reward they had, and
        failed ones. None for any number.
      max_hours: in which children run, since the search was begun; pauses do not count. Positive, None for any.
      max_child_hours: of all children together, failed ones too. Positive, None for any.
    """

    max_trainings: int | None = None
    max_hours: float | None = None
    max_child_hours: float | None = None

    def __post_init__(self):
        if self.max_trainings is not None and not (type(self.max_trainings) is int and self.max_trainings >= 1):
            raise InputError(f"search.max_trainings: expected an integer of 1 or more, or None, got {self.max_trainings!r}")
        for field in ("max_hours", "max_child_hours"):
            _check_positive(field, getattr(self, field))


@dataclasses.dataclass(frozen=True)
class Rates:
    """What an hour of one child takes, as its user knows it; None where that is not known.

    Attributes:
      watts: of electric power; positive.
      price: in any currency; positive.
    """

    watts: float | None = None
    price: float | None = None

    def __post_init__(self):
        for field, name in (("watts", "child_watts"), ("price", "child_hour_price")):
            _check_positive(name, getattr(self, field))

    def estimate(self, child_seconds: float) -> dict[str, float]:
        """{"child_hours": ...}, with "kwh" and "price" where the rates are known."""
        hours = child_seconds / _HOUR
        known = {} if self.watts is None else {"kwh": hours * self.watts / 1000}
        return {"child_hours": hours, **known, **({} if self.price is None else {"price": hours * self.price})}

    def save(self, workdir: pathlib.Path) -> None:
        """For reports; a search without rates keeps none."""
        path = workdir / RATES_NAME
        if self == Rates():
            path.unlink(missing_ok=True)
        else:
            replace_file(path, json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, workdir: pathlib.Path) -> "Rates":
        """Those of a search; raises InputError where the file is damaged."""
        path = workdir / RATES_NAME
        try:
            return cls(**json.loads(path.read_text())) if path.is_file() else cls()
        except (ValueError, TypeError) as error:
            raise InputError(f'{path}: expected {{"watts": number or null, "price": number or null}} ({error})') from error


def _check_positive(name: str, value: float | None) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < math.inf):
        raise InputError(f"search.{name}: expected a positive number or None, got {value!r}")


class Budget:
    """What of the time limits is left.

    Args:
      limits: of the search.
      trials: as they were when this session began.
    """

    def __init__(self, limits: Limits, trials: Sequence[Trial]):
        self._limits = limits
        self._before = 0.0 if limits.max_hours is None else busy_seconds(trials)
        self._began = time.monotonic()

    def is_spent(self, child_seconds: float, started: Iterable[float]) -> bool:
        """Whether no more children may start.

        Args:
          child_seconds: of all executions that ended.
          started: when, by the monotonic clock, those that run began.
        """
        now, limits = time.monotonic(), self._limits
        if limits.max_hours is not None and self._before + now - self._began >= limits.max_hours * _HOUR:
            return True
        if limits.max_child_hours is None:
            return False
        return child_seconds + sum(now - began for began in started) >= limits.max_child_hours * _HOUR


def busy_seconds(trials: Sequence[Trial]) -> float:
    """Time in which at least one child ran; pauses between two executions or two runs of a search do not count."""
    total, until = 0.0, 0.0
    for begin, end in sorted((end - seconds, end) for trial in trials for end, seconds in trial.executions):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
