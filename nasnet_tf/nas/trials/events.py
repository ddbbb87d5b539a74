"""The events of a search's journal, one dataclass for each kind. Only this module converts them to and from JSON.

An event is an object {"event": kind, "time": unix seconds, ...} with the fields of its class in their order. Fields with their default
value are not written. When an event is read, fields without a default are required, and unknown keys are ignored.
"""

import dataclasses
import time
from typing import Any, ClassVar

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import describe

Number = int | float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Base class of all events.

    Attributes:
      time: when the event was written, in unix seconds.
    """

    kind: ClassVar[str]
    may_lack: ClassVar[tuple[str, ...]] = ()  # fields that are always written, but may be missing in a file
    time: Number = dataclasses.field(default_factory=lambda: round(time.time(), 3))

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object of the event."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {"event": self.kind} | {name: value for name, (value, default) in values.items() if value != default}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Begun(Event):
    """The first line of the journal, which identifies the search.

    Attributes:
      identity: the settings that must not change when the search is resumed.
      version: version of the package that began the search; version 0.1.0 did not write it.
      hash_version: version of the rules by which the hashes of its architectures were computed.
    """

    kind, may_lack = "search", ("time",)
    identity: dict
    version: str = "0.1.0"
    hash_version: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposed(Event):
    """The strategy proposed an architecture.

    Attributes:
      trial: number of the trial, from 0.
      genotype: the architecture as textproto.
      hash: hash of the architecture.
      decisions: the architecture as decisions of the search space.
      log_probs: log-probabilities of the decisions; see `Proposal`.
    """

    kind = "proposed"
    trial: int
    genotype: str
    hash: str
    decisions: tuple
    log_probs: tuple


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken(Proposed):
    """A rewarded trial was taken over from the work folder of another search. Such trials come first and cost no time in this search.

    Attributes:
      reward: its reward in the other search.
      metrics: its other metrics.
      taken_from: work folder of the other search.
      rung_rewards: its reward at each rung of successive halving that it reached there.
    """

    kind = "taken"
    seconds: ClassVar[float] = 0.0
    policy_reward: ClassVar[None] = None
    reward: Number
    metrics: dict
    taken_from: str
    rung_rewards: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """An execution of a trial ended, or the trial got the outcome of an earlier trial of the same architecture.

    Attributes:
      trial: number of the trial.
      attempt: number of the execution, from 1.
      reward: reward of the trial, if it finished.
      metrics: further metrics of the evaluator, if it finished.
      reason: reason of a failure, or why the architecture is infeasible.
      over_deadline: whether the child was killed at its deadline.
      policy_reward: reward that the strategy learned for a child killed at its deadline; None for none.
      seconds: time that the execution took.
      machine: name of the machine it ran on; empty if unknown.
      lost: whether it failed because the machine left.
      rung: rung of successive halving that the execution was meant to reach; None without successive halving. If a finished trial does not
        reach its next rung, it stays finished.
      reused_from: number of the earlier trial whose outcome this one got; None if it had its own execution.
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
    """The execution failed. The trial is tried again unless it has failed too often."""

    kind = "failed"
    reason: str = dataclasses.field()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Infeasible(Ended):
    """The architecture cannot get a reward. It is not tried again unless the machine it ran on is quarantined."""

    kind = "infeasible"
    reason: str = dataclasses.field()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent(Event):
    """Time was spent before the trials on something that they share, such as shared weights."""

    kind = "spent"
    what: str
    seconds: Number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quarantined(Event):
    """A machine was quarantined: no more children run on it, and its failed, killed and infeasible outcomes no longer count."""

    kind = "aside"  # the name in existing journals
    machine: str
    reason: str


_KINDS = {event.kind: event for event in (Begun, Proposed, Taken, Spent, Quarantined, Finished, Failed, Infeasible)}
_FIELDS = {event: dataclasses.fields(event) for event in _KINDS.values()}  # cached: dataclasses.fields would take most of the time


def from_json(values: dict[str, Any]) -> Event:
    """Converts the JSON object of a journal line to its event.

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
                raise InputError(f"the field {field.name!r} is missing")
            continue
        value = values[field.name]
        if field.type is tuple and isinstance(value, list):
            value = tuple(value)
        if not isinstance(value, field.type):
            if field.name == "reward":
                raise InputError(f"reward of trial {values['trial']}: expected a number, got {value!r}")
            expected = describe(list if field.type is tuple else field.type)
            raise InputError(f"a value has the wrong type ({field.name}: expected {expected}, got {value!r})")
        found[field.name] = value
    return kind(**found)
