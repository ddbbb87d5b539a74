"""Trials: proposed architectures and what became of them, as the events of a journal tell; which of them are the best."""

import dataclasses
import functools
from collections.abc import Iterable

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Genotype, parse_genotype

_OUTCOMES = ("finished", "failed", "infeasible")


@dataclasses.dataclass
class Trial:
    """One proposed architecture and what became of it.

    Attributes:
      text: the genotype as a textproto.
      status: "running" (or to be run again), "finished", "failed" (an execution failed; final if no more are allowed), "infeasible".
      reward: validation accuracy in [0, 1], of finished trials.
      seconds: spent on all its executions.
      metrics: what the evaluator reported besides: parameters, mult_adds, ...
      reason: of the last failure.
      attempts: executions that ended.
      executions: (unix seconds of its end, seconds it took) of each of them that trained something.
      failed_on: the machines of those that failed and count, "" where it is not known.
      losses: executions that ended because their machine left.
      machine: of the last execution.
      over_deadline: it was killed at its deadline.
      proposed_time, finished_time: unix seconds; the latter of the last outcome, None before the first.
      reused_from: the trial of the same architecture whose reward this one got, if there is one.
      rung_rewards: of successive halving, the reward at each rung that it has reached.
      failed_rungs: executions that should have brought it to the next one.
      taken_from: the work folder of the search that it was taken over from; "" of this search's own.
    """

    number: int
    text: str
    hash: str
    decisions: tuple[int, ...]
    log_probs: tuple[float, ...]
    proposed_time: float
    status: str = "running"
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
    failed_rungs: int = 0

    @functools.cached_property
    def genotype(self) -> Genotype:
        """The architecture; parsed when it is asked for, for a search of 20,000 trials needs few of them."""
        return parse_genotype(self.text, f"journal, trial {self.number}")

    @property
    def is_rewarded_or_infeasible(self) -> bool:
        """Nothing that comes later changes it."""
        return self.status in ("finished", "infeasible")

    @property
    def is_predicted(self) -> bool:
        """The reward was not measured: the child was stopped early."""
        return "stopped_epoch" in self.metrics


def apply_event(trials: list[Trial], event: dict) -> bool:
    """Brings the list of trials up to date with one event.

    Returns:
      Whether it changed anything: an event that says again what is known, as in a file with a line twice, does not.

    Raises:
      InputError: the event does not fit the trials: it lacks something, or lines before it are missing.
    """
    if event["event"] == "search":
        return True
    try:
        if event["event"] == "aside":
            _put_aside(trials, event["machine"])
            return True
        if event["event"] == "spent":
            return event["seconds"] >= 0
        number, kind = event["trial"], event["event"]
        if kind in ("proposed", "taken"):
            trial = Trial(
                number, event["genotype"], event["hash"], tuple(event["decisions"]), tuple(event["log_probs"]), proposed_time=event["time"]
            )
            if kind == "taken":
                trial.status, trial.reward, trial.metrics = "finished", event["reward"], event["metrics"]
                trial.taken_from, trial.finished_time = event["taken_from"], event["time"]
            if number < len(trials) and trials[number].decisions == trial.decisions and trials[number].log_probs == trial.log_probs:
                return False
            if number != len(trials):
                raise InputError(f"proposes trial {number}, expected trial {len(trials)}")
            trials.append(trial)
            return True
        if kind not in _OUTCOMES:
            raise InputError(f"unknown event {kind!r}; expected proposed, taken, spent, aside, {', '.join(_OUTCOMES)}")
        if number not in range(len(trials)):
            raise InputError(f"{kind} trial {number}, which has not been proposed")
        trial = trials[number]
        goes_on = trial.status == "finished" and event.get("rung", 0) == len(trial.rung_rewards) > 0
        if (trial.is_rewarded_or_infeasible and not goes_on) or event["attempt"] <= trial.attempts:
            return False
        if event["attempt"] != trial.attempts + 1:
            raise InputError(f"attempt {event['attempt']} of trial {number}, expected {trial.attempts + 1}")
        if goes_on and kind != "finished":  # it stays what it was
            trial.seconds, trial.attempts = trial.seconds + event["seconds"], event["attempt"]
            trial.reason, trial.failed_rungs = event["reason"], trial.failed_rungs + 1
            trial.executions.append((event["time"], event["seconds"]))
            return True
        seconds, reward = trial.seconds + event["seconds"], event["reward"] if kind == "finished" else None
        if kind == "finished" and not isinstance(reward, (int, float)):
            raise InputError(f"reward of trial {number}: expected a number, got {reward!r}")
        trial.seconds, trial.reward = seconds, reward
        trial.status, trial.attempts, trial.finished_time = kind, event["attempt"], event["time"]
        trial.reason, trial.metrics = event.get("reason", ""), event.get("metrics", {})
        trial.reused_from, trial.machine = event.get("reused_from"), event.get("machine", "")
        trial.over_deadline = event.get("over_deadline", False)
        if kind == "finished" and "rung" in event:
            trial.rung_rewards.append(reward)
        if event.get("lost"):
            trial.losses += 1
        elif kind == "failed":
            trial.failed_on.append(trial.machine)
        if event["seconds"] > 0:
            trial.executions.append((event["time"], event["seconds"]))
        return True
    except KeyError as error:
        raise InputError(f"lacks {error}") from error
    except TypeError as error:
        raise InputError(f"has a value of a wrong type ({error})") from error


def _put_aside(trials: list[Trial], machine: str) -> None:
    for trial in trials:
        trial.failed_on = [other for other in trial.failed_on if other != machine]
        if trial.status == "infeasible" and trial.over_deadline and trial.machine == machine:
            trial.status, trial.over_deadline = "failed", False


def architectures(trials: Iterable[Trial]) -> list[Trial]:
    """The first finished trial of each architecture: a policy that repeats its best one must not fill a leaderboard with it."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.status == "finished":
            first.setdefault(trial.hash, trial)
    return list(first.values())


def leaderboard(trials: Iterable[Trial]) -> list[Trial]:
    """The finished architectures by their rewards, the earlier first among equals.

    Predicted rewards come after all that were measured; of successive halving, those at lower rungs after those at higher ones.
    """
    return sorted(architectures(trials), key=lambda trial: (trial.is_predicted, -len(trial.rung_rewards), -trial.reward, trial.number))
