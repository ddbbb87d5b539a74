"""How much a search may spend, and what it has spent."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterable, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.values import Count, Positive, check
from nasnet_tf.nas.trials.trial import Trial

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
        check("search", vars(self), {"max_trainings": Count | None, "max_hours": Positive | None, "max_child_hours": Positive | None})


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
        bound = {"child_watts": self.watts, "child_hour_price": self.price}
        check("search", bound, dict.fromkeys(bound, Positive | None))

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
