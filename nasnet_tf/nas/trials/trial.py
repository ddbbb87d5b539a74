"""Trials, which are proposed architectures with their outcomes: how events of the journal change them, and how they are ranked."""

import dataclasses
import enum
import functools
from collections.abc import Iterable

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Genotype, parse_genotype
from nasnet_tf.nas.trials.events import Ended, Event, Failed, Finished, Proposed, Quarantined, Spent, Taken


class Status(enum.StrEnum):
    """The status of a trial. Each member equals its text, which is used in JSON and CSV."""

    RUNNING = "running"  # or waiting to run
    FINISHED = "finished"  # it has a reward
    FAILED = "failed"  # the last execution failed; another one may follow
    INFEASIBLE = "infeasible"  # it cannot get a reward


@dataclasses.dataclass
class Trial:
    """One proposed architecture with its outcome.

    Attributes:
      number: number of the trial, from 0.
      text: the genotype as textproto.
      hash: hash of the architecture.
      decisions: the architecture as decisions of the search space.
      log_probs: log-probabilities of the decisions; see `Proposal`.
      proposed_time: when it was proposed, in unix seconds.
      status: the status.
      reward: reward of a finished trial: the validation accuracy in [0, 1], or the objective; else None.
      seconds: total time of all its executions.
      metrics: further metrics that the evaluator reported, such as "parameters" and "mult_adds".
      reason: reason of the last failure.
      attempts: number of executions that have ended.
      executions: (end in unix seconds, duration in seconds) of each execution that trained something.
      finished_time: when its last outcome came, in unix seconds; None before the first.
      reused_from: number of the trial of the same architecture whose outcome this one got; None if it had its own.
      failed_on: machines of its failed executions, without those of quarantined machines; "" for an unknown machine.
      losses: number of executions that ended because their machine left.
      machine: machine of the last execution.
      over_deadline: whether it was killed at its deadline.
      taken_from: work folder of the search that it was taken over from; "" for this search's own trials.
      rung_rewards: reward at each rung of successive halving that it has reached.
      failed_rungs_on: machines of the executions that were meant to reach the next rung and failed.
      lost_rungs: number of executions that were meant to reach the next rung and ended because their machine left.
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
    lost_rungs: int = 0

    @functools.cached_property
    def genotype(self) -> Genotype:
        """The architecture, parsed at the first use, because a search of 20,000 trials needs only a few of them."""
        return parse_genotype(self.text, f"journal, trial {self.number}")

    @property
    def is_rewarded_or_infeasible(self) -> bool:
        """Whether the trial is finished or infeasible. Only quarantining the machine that found it infeasible can change this status."""
        return self.status in (Status.FINISHED, Status.INFEASIBLE)

    @property
    def is_own(self) -> bool:
        """Whether the outcome of the trial, once it has ended, comes from its own training and not from another trial or search."""
        return self.reused_from is None and not self.taken_from

    @property
    def failed_rungs(self) -> int:
        """Number of executions that were meant to reach the next rung and failed."""
        return len(self.failed_rungs_on)

    @property
    def is_predicted(self) -> bool:
        """Whether the reward is a prediction, because the child was stopped early."""
        return "stopped_epoch" in self.metrics


def apply_event(trials: list[Trial], event: Event) -> bool:
    """Applies an event of the journal to the list of trials, which it changes in place.

    Returns:
      False if the event repeats an earlier one and changes nothing, as for a duplicated line; else True.

    Raises:
      InputError: the event does not fit the trials, because earlier lines are missing.
    """
    match event:
        case Proposed():
            return _append(trials, event)
        case Ended():
            if event.trial not in range(len(trials)):
                raise InputError(f"the event {event.kind!r} is of trial {event.trial}, which has not been proposed")
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
        trial.taken_from, trial.finished_time, trial.rung_rewards = event.taken_from, event.time, list(event.rung_rewards)
    if number < len(trials) and (trials[number].decisions, trials[number].log_probs) == (trial.decisions, trial.log_probs):
        return False
    if number != len(trials):
        raise InputError(f"expected a proposal of trial {len(trials)}, got one of trial {number}")
    trials.append(trial)
    return True


def _end(trial: Trial, event: Ended) -> bool:
    is_promoted = trial.status == Status.FINISHED and (event.rung or 0) == len(trial.rung_rewards) > 0
    if (trial.is_rewarded_or_infeasible and not is_promoted) or event.attempt <= trial.attempts:
        return False
    if event.attempt != trial.attempts + 1:
        raise InputError(f"trial {trial.number}: expected attempt {trial.attempts + 1}, got attempt {event.attempt}")
    trial.attempts, trial.reason = event.attempt, event.reason
    trial.seconds += event.seconds
    is_lasting = is_promoted and not isinstance(event, Finished)  # the trial stays finished
    if event.seconds > 0 or is_lasting:
        trial.executions.append((event.time, event.seconds))
    if is_lasting and event.lost:
        trial.lost_rungs += 1
        return True
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
    """Discards failed and infeasible outcomes of a machine, and reopens its infeasible trials and those that reused their outcome."""
    reopened = set()
    for trial in trials:
        for machines in (trial.failed_on, trial.failed_rungs_on):
            machines[:] = [other for other in machines if other != machine]
        if trial.status == Status.INFEASIBLE and (trial.machine == machine or trial.reused_from in reopened):
            trial.status, trial.over_deadline, trial.reused_from = Status.FAILED, False, None
            reopened.add(trial.number)


def architectures(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the finished trial of each architecture that counts: the first with a measured reward, or the first with a predicted one.

    Without this, a strategy that proposes its best architecture again and again would fill a leaderboard with it.
    """
    counting: dict[str, Trial] = {}
    for trial in trials:
        if trial.status == Status.FINISHED:
            earlier = counting.setdefault(trial.hash, trial)
            if earlier.is_predicted and not trial.is_predicted:
                counting[trial.hash] = trial
    return sorted(counting.values(), key=lambda trial: trial.number)


def measured(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the trials of `architectures` whose rewards were measured and not predicted."""
    return [trial for trial in architectures(trials) if not trial.is_predicted]


def leaderboard(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the finished architectures, the best first and in a tie the earlier one first.

    Architectures with measured rewards come before those with predicted ones. With successive halving, architectures that reached a higher
    rung come first.
    """
    return sorted(architectures(trials), key=lambda trial: (trial.is_predicted, -len(trial.rung_rewards), -trial.reward, trial.number))
