"""Fault tolerance of long searches, in which children, machines or the whole cluster may fail.

A failed architecture is retried a few times, first on machines where it has not failed yet. A machine is quarantined if nearly all
executions on it fail, or if it finds far more architectures infeasible (for example, with a loss of NaN) than other machines do. Failed and
infeasible outcomes of a quarantined machine no longer count. The search pauses only when nothing works any more. Before that, children that
are still running may finish, and if one of them succeeds, the search continues.
"""

import collections
import dataclasses
import math
from collections.abc import Callable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, PositivePart, at_least, check_fields
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.trial import Status, Trial

# A machine is quarantined if the probability that a healthy machine finds at least as many architectures infeasible is below this. Six in a
# row are enough if other machines found none in ten. In a search of 20,000 trials, hardly any healthy machine is quarantined.
_MIN_CHANCE = 1e-6
_MAX_IN_A_ROW = 3  # after this many quarantined machines without a success in between, the machines are not the cause


@dataclasses.dataclass(frozen=True)
class FaultTolerance:
    """The limits after which an architecture is given up, a machine is quarantined, and a search pauses.

    Attributes:
      max_attempts: number of failures after which an architecture is given up, 1 or more.
      max_losses: number of times a machine may leave the cluster while it trains an architecture before that architecture is given up, 1 or
        more. These do not count as failures.
      executions: number of recent executions per machine that are considered, 2 or more. If this many architectures in a row are infeasible
        before the first reward, the search pauses.
      share: fraction of failed executions among these that quarantines the machine, in (0, 1].
      drain: whether children that are still running may finish before a pause; otherwise they are killed.
    """

    max_attempts: Count = 3
    max_losses: Count = 10
    executions: at_least(2) = 10
    share: PositivePart = 0.9
    drain: bool = True

    def __post_init__(self):
        check_fields(self)

    def is_given_up(self, trial: Trial) -> bool:
        """Returns whether a failed trial is not tried again."""
        return trial.status == Status.FAILED and (len(trial.failed_on) >= self.max_attempts or trial.losses >= self.max_losses)


class Watch:
    """Watches the outcomes of executions, quarantines machines, and decides when the search should pause.

    Args:
      tolerance: the limits.
      quarantine: function (machine, reason) that quarantines a machine and returns True, or returns False if there is no other machine.

    Attributes:
      trouble: the reason why the search should pause; empty if it should not.
    """

    def __init__(self, tolerance: FaultTolerance, quarantine: Callable[[str, str], bool]):
        self._tolerance, self._quarantine = tolerance, quarantine
        # The most recent executions of each machine.
        self._failed: dict[str, collections.deque[bool]] = {}  # whether each execution failed
        self._infeasible: dict[str, collections.deque[bool]] = {}  # whether each execution that did not fail was infeasible
        self._last_infeasible: dict[str, str] = {}  # description of the last infeasible trial of each machine
        self._quarantined: set[str] = set()
        self._quarantined_in_a_row = self._infeasible_in_a_row = 0
        self._rewarded = False
        self._reporter: str | None = None  # machine that reported a mistake in the input since the last reward
        self.trouble = ""

    def see(self, outcome: Outcome, trial: Trial) -> None:
        """Processes the outcome of an execution. Call it after the ledger has recorded the outcome.

        Args:
          outcome: the outcome.
          trial: the trial that was executed.

        Raises:
          InputError: two machines, or the only one, reported a mistake in the input.
        """
        # A trial that becomes infeasible at a later rung of successive halving keeps its status, so look at the outcome too.
        is_infeasible = trial.status == Status.INFEASIBLE or (isinstance(outcome.value, dict) and "infeasible" in outcome.value)
        if trial.status == Status.FINISHED and outcome.reason is None and not is_infeasible:
            self._rewarded, self._reporter, self.trouble = True, None, ""
            self._quarantined_in_a_row = self._infeasible_in_a_row = 0
            self._window(self._failed, outcome.machine).append(False)
            self._window(self._infeasible, outcome.machine).append(False)
            for machine in self._infeasible.keys() - self._quarantined - {outcome.machine}:
                self._check_infeasible(machine)
        elif outcome.lost or outcome.machine in self._quarantined:
            return
        elif outcome.user_error:
            self._see_user_error(outcome.machine, trial)
        elif is_infeasible and not outcome.over_deadline:
            self._infeasible_in_a_row += 1
            self._window(self._infeasible, outcome.machine).append(True)
            self._last_infeasible[outcome.machine] = _last(trial)
            self._check_infeasible(outcome.machine)
            if not self._rewarded and self._infeasible_in_a_row >= self._tolerance.executions:
                self.trouble = f"{self._infeasible_in_a_row} architectures in a row were infeasible, {_last(trial)}"
        else:
            self._see_failure(outcome.machine, trial)

    def _window(self, of: dict[str, collections.deque[bool]], machine: str) -> collections.deque[bool]:
        return of.setdefault(machine, collections.deque(maxlen=self._tolerance.executions))

    def _see_user_error(self, machine: str, trial: Trial) -> None:
        """Handles a mistake in the input: quarantines the first machine that reports one, and raises InputError for the second.

        The first report may be the fault of the machine, such as a missing disk.
        """
        if self._reporter is not None or not self._is_quarantined(machine, f"trial {trial.number}: {trial.reason}"):
            raise InputError(f"trial {trial.number}: {trial.reason}")
        self._reporter = machine

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

    def _check_infeasible(self, machine: str) -> None:
        """Quarantines a machine if it finds far more architectures infeasible than other machines do."""
        own, healthy = self._window(self._infeasible, machine), self._infeasible.keys() - self._quarantined - {machine}
        others = [is_infeasible for name in healthy for is_infeasible in self._infeasible[name]]
        if _chance(sum(own), len(own), (sum(others) + 1) / (len(others) + 2)) < _MIN_CHANCE:
            found = f"{sum(own)} of the last {len(own)} architectures were infeasible there, {sum(others)} of {len(others)} elsewhere"
            self._is_quarantined(machine, f"{found}, {self._last_infeasible[machine]}")

    def _is_quarantined(self, machine: str, why: str) -> bool:
        """Quarantines a machine unless it is the only one; returns whether it is now quarantined."""
        if not machine or not self._quarantine(machine, why):
            return False
        self._quarantined.add(machine)
        print(f"machine {machine} is quarantined; its failed and infeasible trials are tried on other machines: {why}")
        return True


def _chance(count: int, total: int, share: float) -> float:
    """Returns the probability that at least `count` of `total` independent events happen, if each has the probability `share`."""
    return sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count, total + 1))


def _last(trial: Trial) -> str:
    return f"the last one in trial {trial.number}: {trial.reason}"
