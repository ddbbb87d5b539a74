"""Numbers within bounds, as types for annotations: `typed` checks that a value is one and says what was expected."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Within:
    """What a type alone does not say, in `Annotated`.

    Attributes:
      text: what to expect, the type included.
      holds: (value of the type) -> whether it is within.
    """

    text: str
    holds: Callable[[Any], bool]


def _from(least: int) -> Within:
    return Within(f"an integer of {least} or more", lambda value: value >= least)


def at_least(least: int) -> Any:
    """The type of whole numbers from this one on."""
    return Annotated[int, _from(least)]


def up_to(most: int) -> Within:
    """Of whole numbers, those from 1 to this one."""
    return Within(f"an integer from 1 to {most:,}", lambda value: 1 <= value <= most)


# Written out, as type checkers do not call functions.
Count = Annotated[int, _from(1)]
Natural = Annotated[int, _from(0)]
Seed = Annotated[int, Within("an integer of 0 or more, below 2^31", lambda value: 0 <= value < 2**31)]
Positive = Annotated[float, Within("a positive number", lambda value: value > 0)]
NotNegative = Annotated[float, Within("a number of 0 or more", lambda value: value >= 0)]
Share = Annotated[float, Within("a share in [0, 1)", lambda value: 0 <= value < 1)]
Part = Annotated[float, Within("a share in [0, 1]", lambda value: 0 <= value <= 1)]
PositivePart = Annotated[float, Within("a share in (0, 1]", lambda value: 0 < value <= 1)]
PositiveShare = Annotated[float, Within("a share in (0, 1)", lambda value: 0 < value < 1)]
