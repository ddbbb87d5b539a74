"""What can fail in a long search: children, machines, everything.

An architecture is tried a few times, first on machines where it has not failed yet. A machine is quarantined if nearly all executions fail
there, or if it finds far more architectures infeasible (a loss of NaN, say) than other machines do. Its verdicts do not count against the
architectures. The search pauses only when nothing works any more, after the children that still run have ended; a child that ends well lets
it continue.
"""

import collections
import dataclasses
import math
from collections.abc import Callable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, PositivePart, at_least, check_fields
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.trial import Status, Trial

# A machine is believed to find architectures infeasible without reason if chance would do so less often than this. Six in a row are enough
# where other machines found none in ten; in a search of 20,000 trials, hardly any healthy machine is suspected.
_LEAST_CHANCE = 1e-6
_MAX_IN_A_ROW = 3  # machines quarantined one after the other without a success between them: it is not the machines


@dataclasses.dataclass(frozen=True)
class FaultTolerance:
    """When an architecture, a machine, a search is given up.

    Attributes:
      max_attempts: failures after which an architecture is not tried again, 1 or more.
      max_losses: machines that may leave while they train an architecture before it is not tried again, 1 or more. They do not count as
        attempts.
      executions: number of recent executions of a machine that are considered, 2 or more. As many infeasible architectures in a row pause
        a search that has no reward yet.
      share: fraction of failed executions among them that quarantines the machine, in (0, 1].
      drain: before a pause, children that still run may end; otherwise they are killed.
    """

    max_attempts: Count = 3
    max_losses: Count = 10
    executions: at_least(2) = 10
    share: PositivePart = 0.9
    drain: bool = True

    def __post_init__(self):
        check_fields(self)

    def is_given_up(self, trial: Trial) -> bool:
        """Whether a trial that failed is not tried again."""
        return trial.status == Status.FAILED and (len(trial.failed_on) >= self.max_attempts or trial.losses >= self.max_losses)


class Watch:
    """Looks at how executions end.

    Args:
      tolerance: the rules.
      quarantine: (machine, why) -> whether children can run elsewhere; from then on none runs there.

    Attributes:
      trouble: why the search should pause; empty while something works.
    """

    def __init__(self, tolerance: FaultTolerance, quarantine: Callable[[str, str], bool]):
        self._tolerance, self._quarantine = tolerance, quarantine
        # By machine, of its last executions.
        self._failed: dict[str, collections.deque[bool]] = {}
        self._infeasible: dict[str, collections.deque[bool]] = {}  # of those that did not fail
        self._said: dict[str, str] = {}  # about the last infeasible one
        self._quarantined: set[str] = set()
        self._quarantined_in_a_row = self._infeasible_in_a_row = 0
        self._rewarded = False
        self._accuser: str | None = None
        self.trouble = ""

    def see(self, outcome: Outcome, trial: Trial) -> None:
        """Takes in how an execution of a trial ended, after the ledger has.

        Raises:
          InputError: a second machine found a mistake in the input, or the only machine did.
        """
        # A trial that a rung of successive halving finds infeasible stays what it was.
        is_infeasible = trial.status == Status.INFEASIBLE or (isinstance(outcome.value, dict) and "infeasible" in outcome.value)
        if trial.status == Status.FINISHED and outcome.reason is None and not is_infeasible:
            self._rewarded, self._accuser, self.trouble = True, None, ""
            self._quarantined_in_a_row = self._infeasible_in_a_row = 0
            self._window(self._failed, outcome.machine).append(False)
            self._window(self._infeasible, outcome.machine).append(False)
            for machine in self._infeasible.keys() - self._quarantined - {outcome.machine}:
                self._suspect(machine)
        elif outcome.lost or outcome.machine in self._quarantined:
            return
        elif outcome.user_error:
            self._hear(outcome.machine, trial)
        elif is_infeasible and not outcome.over_deadline:
            self._infeasible_in_a_row += 1
            self._window(self._infeasible, outcome.machine).append(True)
            self._said[outcome.machine] = _last(trial)
            self._suspect(outcome.machine)
            if not self._rewarded and self._infeasible_in_a_row >= self._tolerance.executions:
                self.trouble = f"{self._infeasible_in_a_row} architectures in a row were infeasible, {_last(trial)}"
        else:
            self._see_failure(outcome.machine, trial)

    def _window(self, of: dict[str, collections.deque[bool]], machine: str) -> collections.deque[bool]:
        return of.setdefault(machine, collections.deque(maxlen=self._tolerance.executions))

    def _hear(self, machine: str, trial: Trial) -> None:
        """A mistake in the input that one machine finds may be that machine's: a disk that is not there."""
        if self._accuser is not None or not self._is_quarantined(machine, f"trial {trial.number}: {trial.reason}"):
            raise InputError(f"trial {trial.number}: {trial.reason}")
        self._accuser = machine

    def _see_failure(self, machine: str, trial: Trial) -> None:
        failed = self._window(self._failed, machine)
        failed.append(True)
        if len(failed) < failed.maxlen or sum(failed) < self._tolerance.share * len(failed):
            return
        why = f"{sum(failed)} of the last {len(failed)} executions failed, {_last(trial)}"
        if self._is_quarantined(machine, why):
            self._quarantined_in_a_row += 1
        if machine not in self._quarantined or self._quarantined_in_a_row >= _MAX_IN_A_ROW:
            self.trouble = why

    def _suspect(self, machine: str) -> None:
        """Quarantines a machine if other machines find far fewer architectures infeasible."""
        own, healthy = self._window(self._infeasible, machine), self._infeasible.keys() - self._quarantined - {machine}
        others = [is_infeasible for name in healthy for is_infeasible in self._infeasible[name]]
        if _chance(sum(own), len(own), (sum(others) + 1) / (len(others) + 2)) < _LEAST_CHANCE:
            found = f"{sum(own)} of the last {len(own)} architectures were infeasible there, {sum(others)} of {len(others)} elsewhere"
            self._is_quarantined(machine, f"{found}, {self._said[machine]}")

    def _is_quarantined(self, machine: str, why: str) -> bool:
        """Quarantines a machine if children can run elsewhere; returns whether they can."""
        if not machine or not self._quarantine(machine, why):
            return False
        self._quarantined.add(machine)
        print(f"machine {machine} is quarantined, and what failed or was infeasible there is tried elsewhere: {why}")
        return True


def _chance(count: int, total: int, share: float) -> float:
    """The probability that `count` or more of `total` independent events happen, each with the probability `share`."""
    return sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count, total + 1))


def _last(trial: Trial) -> str:
    return f"the last one, of trial {trial.number}, so: {trial.reason}"
