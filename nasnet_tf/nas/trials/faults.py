"""What can fail in a long search: children, machines, everything.

An architecture is tried a few times. A machine on which nearly all executions fail is quarantined, and its failures do not count against
the architectures. The search pauses only when nothing works any more, after the children that still run have ended; a child that ends well
lets it continue.
"""

import collections
import dataclasses
from collections.abc import Callable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, PositivePart, at_least, check_fields
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.trial import Status, Trial

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
        self._failed: dict[str, collections.deque[bool]] = {}  # by machine, of its last executions
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
        if trial.status == Status.FINISHED and outcome.reason is None:
            self._rewarded, self._accuser, self.trouble = True, None, ""
            self._quarantined_in_a_row = self._infeasible_in_a_row = 0
            self._last_executions(outcome.machine).append(False)
        elif outcome.lost or (outcome.machine in self._quarantined and outcome.reason is not None):
            return
        elif outcome.user_error:
            self._hear(outcome.machine, trial)
        elif trial.status == Status.INFEASIBLE and not outcome.over_deadline:
            self._infeasible_in_a_row += 1
            if not self._rewarded and self._infeasible_in_a_row >= self._tolerance.executions:
                self.trouble = f"{self._infeasible_in_a_row} architectures in a row were infeasible, {_last(trial)}"
        else:
            self._see_failure(outcome.machine, trial)

    def _last_executions(self, machine: str) -> collections.deque[bool]:
        return self._failed.setdefault(machine, collections.deque(maxlen=self._tolerance.executions))

    def _hear(self, machine: str, trial: Trial) -> None:
        """A mistake in the input that one machine finds may be that machine's: a disk that is not there."""
        if self._accuser is not None or not self._is_quarantined(machine, f"trial {trial.number}: {trial.reason}"):
            raise InputError(f"trial {trial.number}: {trial.reason}")
        self._accuser = machine

    def _see_failure(self, machine: str, trial: Trial) -> None:
        failed = self._last_executions(machine)
        failed.append(True)
        if len(failed) < failed.maxlen or sum(failed) < self._tolerance.share * len(failed):
            return
        why = f"{sum(failed)} of the last {len(failed)} executions failed, {_last(trial)}"
        if self._is_quarantined(machine, why):
            self._quarantined_in_a_row += 1
        if machine not in self._quarantined or self._quarantined_in_a_row >= _MAX_IN_A_ROW:
            self.trouble = why

    def _is_quarantined(self, machine: str, why: str) -> bool:
        """Quarantines a machine if children can run elsewhere; returns whether they can."""
        if not machine or not self._quarantine(machine, why):
            return False
        self._quarantined.add(machine)
        print(f"machine {machine} is quarantined, and what failed there is tried elsewhere: {why}")
        return True


def _last(trial: Trial) -> str:
    return f"the last one, of trial {trial.number}, so: {trial.reason}"
