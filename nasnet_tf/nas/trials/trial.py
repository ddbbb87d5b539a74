"""Trials: proposed architectures and what became of them, as the events of a journal say; which of them are the best."""

import dataclasses
import enum
import functools
from collections.abc import Iterable

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Genotype, parse_genotype
from nasnet_tf.nas.trials.events import Ended, Event, Failed, Finished, Proposed, Quarantined, Spent, Taken


class Status(enum.StrEnum):
    """What became of a trial. Equal to its text, as in JSON and CSV."""

    RUNNING = "running"  # or to be run again
    FINISHED = "finished"
    FAILED = "failed"  # its last execution did; final if no more are allowed
    INFEASIBLE = "infeasible"


@dataclasses.dataclass
class Trial:
    """One proposed architecture and what became of it.

    Attributes:
      text: the genotype as a textproto.
      reward: validation accuracy in [0, 1], of finished trials.
      seconds: spent on all its executions.
      metrics: what the evaluator reported besides: parameters, mult_adds, ...
      reason: of the last failure.
      attempts: executions that ended.
      executions: (unix seconds of its end, seconds it took) of each execution that trained something.
      failed_on: the machines of the executions that failed and count, "" where the machine is not known.
      losses: executions that ended because their machine left.
      machine: of the last execution.
      over_deadline: it was killed at its deadline.
      proposed_time, finished_time: unix seconds; the latter of the last outcome, None before the first.
      reused_from: the trial of the same architecture whose reward this one got, if there is one.
      rung_rewards: the reward at each rung of successive halving that it has reached.
      failed_rungs_on: the machines of the executions that should have brought it to the next rung and failed.
      taken_from: the work folder of the search that it was taken over from; "" for this search's own trials.
    """

    number: int
    text: str
    hash: str
    decisions: tuple[int, ...]
    log_probs: tuple[float, ...]
    proposed_time: float
    status: Status = Status.RUNNING
    reward: float | None = None
    seconds: float = 0.0
    metrics: dict = dataclasses.field(default_factory=dict)
    reason: str = ""
    attempts: int = 0
    executions: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    finished_time: float | None = None
    reused_from: int | None = None
    failed_on: list[str] = dataclasses.field(default_factory=list)
    losses: int = 0
    machine: str = ""
    over_deadline: bool = False
    taken_from: str = ""
    rung_rewards: list[float] = dataclasses.field(default_factory=list)
    failed_rungs_on: list[str] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def genotype(self) -> Genotype:
        """The architecture, parsed when it is first used: a search of 20,000 trials needs few of them."""
        return parse_genotype(self.text, f"journal, trial {self.number}")

    @property
    def is_rewarded_or_infeasible(self) -> bool:
        """Whether nothing that comes later changes the status, unless the machine that found it infeasible is quarantined."""
        return self.status in (Status.FINISHED, Status.INFEASIBLE)

    @property
    def is_own(self) -> bool:
        """Whether this search itself has trained it, once it has ended: no other trial's reward counts for it."""
        return self.reused_from is None and not self.taken_from

    @property
    def failed_rungs(self) -> int:
        """Executions that should have brought it to the next rung and failed."""
        return len(self.failed_rungs_on)

    @property
    def is_predicted(self) -> bool:
        """Whether the reward was predicted, not measured, because the child was stopped early."""
        return "stopped_epoch" in self.metrics


def apply_event(trials: list[Trial], event: Event) -> bool:
    """Brings the list of trials up to date with one event.

    Returns:
      Whether it changed anything. An event that repeats what is known, as in a file with a line twice, does not.

    Raises:
      InputError: the event does not fit the trials: lines before it are missing.
    """
    match event:
        case Proposed():
            return _append(trials, event)
        case Ended():
            if event.trial not in range(len(trials)):
                raise InputError(f"{event.kind} trial {event.trial}, which has not been proposed")
            return _end(trials[event.trial], event)
        case Quarantined():
            _forget_verdicts(trials, event.machine)
        case Spent():
            return event.seconds >= 0
    return True


def _append(trials: list[Trial], event: Proposed) -> bool:
    number = event.trial
    trial = Trial(number, event.genotype, event.hash, event.decisions, event.log_probs, proposed_time=event.time)
    if isinstance(event, Taken):
        trial.status, trial.reward, trial.metrics = Status.FINISHED, event.reward, event.metrics
        trial.taken_from, trial.finished_time = event.taken_from, event.time
    if number < len(trials) and (trials[number].decisions, trials[number].log_probs) == (trial.decisions, trial.log_probs):
        return False
    if number != len(trials):
        raise InputError(f"proposes trial {number}, expected trial {len(trials)}")
    trials.append(trial)
    return True


def _end(trial: Trial, event: Ended) -> bool:
    is_promoted = trial.status == Status.FINISHED and (event.rung or 0) == len(trial.rung_rewards) > 0
    if (trial.is_rewarded_or_infeasible and not is_promoted) or event.attempt <= trial.attempts:
        return False
    if event.attempt != trial.attempts + 1:
        raise InputError(f"attempt {event.attempt} of trial {trial.number}, expected {trial.attempts + 1}")
    trial.attempts, trial.reason = event.attempt, event.reason
    trial.seconds += event.seconds
    is_lasting = is_promoted and not isinstance(event, Finished)  # it stays what it was
    if event.seconds > 0 or is_lasting:
        trial.executions.append((event.time, event.seconds))
    if is_lasting:
        trial.failed_rungs_on.append(event.machine)
        return True
    trial.status, trial.reward, trial.metrics = Status(event.kind), event.reward, event.metrics or {}
    trial.finished_time, trial.reused_from, trial.machine = event.time, event.reused_from, event.machine
    trial.over_deadline = event.over_deadline
    if isinstance(event, Finished) and event.rung is not None:
        trial.rung_rewards.append(event.reward)
    if event.lost:
        trial.losses += 1
    elif isinstance(event, Failed):
        trial.failed_on.append(trial.machine)
    return True


def _forget_verdicts(trials: list[Trial], machine: str) -> None:
    """Opens again what failed or was infeasible on this machine, and the trials that share such an outcome."""
    reopened = set()
    for trial in trials:
        for machines in (trial.failed_on, trial.failed_rungs_on):
            machines[:] = [other for other in machines if other != machine]
        if trial.status == Status.INFEASIBLE and (trial.machine == machine or trial.reused_from in reopened):
            trial.status, trial.over_deadline, trial.reused_from = Status.FAILED, False, None
            reopened.add(trial.number)


def architectures(trials: Iterable[Trial]) -> list[Trial]:
    """The first finished trial of each architecture: a policy that repeats its best one must not fill a leaderboard with it."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.status == Status.FINISHED:
            first.setdefault(trial.hash, trial)
    return list(first.values())


def leaderboard(trials: Iterable[Trial]) -> list[Trial]:
    """The finished architectures by their rewards, the earlier first among equals.

    Predicted rewards come after all that were measured; of successive halving, those at lower rungs after those at higher ones.
    """
    return sorted(architectures(trials), key=lambda trial: (trial.is_predicted, -len(trial.rung_rewards), -trial.reward, trial.number))
