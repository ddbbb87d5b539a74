"""The events of a search's journal: one dataclass for each kind. They are read from JSON and written as JSON here and nowhere else.

An event is an object {"event": kind, "time": unix seconds, ...} with the fields of its class in their order. Fields that have their default
value are not written; those without a default must be there when an event is read, and keys that are not fields are ignored.
"""

import dataclasses
import time
from typing import Any, ClassVar

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import describe

Number = int | float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """What all events have: the time at which it was written, in unix seconds."""

    kind: ClassVar[str]
    may_lack: ClassVar[tuple[str, ...]] = ()  # fields that are always written, but that a file may lack
    time: Number = dataclasses.field(default_factory=lambda: round(time.time(), 3))

    def to_json(self) -> dict[str, Any]:
        """Returns the event as it stands in the file."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {"event": self.kind} | {name: value for name, (value, default) in values.items() if value != default}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Begun(Event):
    """The first line: which search this is.

    Attributes:
      identity: what makes the search this one and no other.
      version: of the package that began it; 0.1.0 did not write it.
      hash_version: version of the rules that the hashes of its architectures follow.
    """

    kind, may_lack = "search", ("time",)
    identity: dict
    version: str = "0.1.0"
    hash_version: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposed(Event):
    """The strategy proposed an architecture; the genotype is a textproto."""

    kind = "proposed"
    trial: int
    genotype: str
    hash: str
    decisions: tuple
    log_probs: tuple


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken(Proposed):
    """A rewarded trial was taken over from the work folder of another search. These trials come first, and cost nothing here."""

    kind = "taken"
    seconds: ClassVar[float] = 0.0
    policy_reward: ClassVar[None] = None
    reward: Number
    metrics: dict
    taken_from: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """An execution of a trial ended; or the trial shares the outcome of an earlier trial of the same architecture.

    Attributes:
      attempt: the number of the execution, from 1.
      over_deadline: the child was killed at its deadline.
      policy_reward: what the strategy learned of a child that was killed at its deadline.
      machine: where it ran, if the engine knows that.
      lost: the machine left.
      rung: the rung of successive halving. A trial that has finished one may finish the next, or fail to and stay what it was.
      reused_from: the earlier trial, which is not trained again.
    """

    trial: int
    attempt: int
    reward: Number | None = None
    metrics: dict | None = None
    reason: str = ""
    over_deadline: bool = False
    policy_reward: Number | None = None
    seconds: Number
    machine: str = ""
    lost: bool = False
    rung: int | None = None
    reused_from: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished(Ended):
    """The trial has a reward."""

    kind, may_lack = "finished", ("metrics",)
    reward: Number = dataclasses.field()
    metrics: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed(Ended):
    """The execution failed. The trial is tried again, unless it has failed too often."""

    kind = "failed"
    reason: str = dataclasses.field()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Infeasible(Ended):
    """The architecture cannot be rewarded, and is not tried again unless the machine that says so is quarantined."""

    kind = "infeasible"
    reason: str = dataclasses.field()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent(Event):
    """Time was spent before the trials on something that they share, such as weights."""

    kind = "spent"
    what: str
    seconds: Number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quarantined(Event):
    """No more children run on a machine. What failed, was killed or was infeasible there no longer counts."""

    kind = "aside"
    machine: str
    reason: str


_KINDS = {event.kind: event for event in (Begun, Proposed, Taken, Spent, Quarantined, Finished, Failed, Infeasible)}
_FIELDS = {event: dataclasses.fields(event) for event in _KINDS.values()}  # asking for them each time takes most of the time


def from_json(values: dict[str, Any]) -> Event:
    """Returns the event that stands in the file.

    Raises:
      InputError: the kind is unknown, a field is missing, or a value has a wrong type.
    """
    kind = _KINDS.get(str(values["event"]))
    if kind is None:
        raise InputError(f"unknown event {values['event']!r}; expected {', '.join(list(_KINDS)[1:])}")
    found = {}
    for field in _FIELDS[kind]:
        if field.name not in values:
            if field.default is dataclasses.MISSING and field.name not in kind.may_lack:
                raise InputError(f"lacks {field.name!r}")
            continue
        value = values[field.name]
        if field.type is tuple and isinstance(value, list):
            value = tuple(value)
        if not isinstance(value, field.type):
            if field.name == "reward":
                raise InputError(f"reward of trial {values['trial']}: expected a number, got {value!r}")
            expected = describe(list if field.type is tuple else field.type)
            raise InputError(f"has a value of a wrong type ({field.name}: expected {expected}, got {value!r})")
        found[field.name] = value
    return kind(**found)
