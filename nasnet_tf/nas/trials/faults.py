"""What fails in a long search, and when it is no use to go on: children, machines, everything.

An architecture is tried a few times. A machine on which nearly all fails is put aside, and what failed there is no fault of the
architectures. Only when nothing works any more the search pauses, after the children that still run have ended; any that ends well lets it
go on.
"""

import collections
import dataclasses

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, PositivePart, at_least, check_fields
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.trial import Trial

_MOST_ASIDE = 3  # put aside one after the other without a success between them: it is not the machines


@dataclasses.dataclass(frozen=True)
class FaultTolerance:
    """When an architecture, a machine, a search is given up.

    Attributes:
      max_attempts: failures after which an architecture is not tried again, 1 or more.
      max_losses: the same of machines that left while they trained it, which count for none of the former, 1 or more.
      executions: the last so many of a machine are looked at, 2 or more; so many infeasible ones in a row pause a search without a reward.
      share: of them failed makes a machine sick, in (0, 1].
      drain: before a pause, children that still run may end; they are killed otherwise.
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
        return trial.status == "failed" and (len(trial.failed_on) >= self.max_attempts or trial.losses >= self.max_losses)


class Watch:
    """Looks at how executions end.

    Args:
      tolerance: the rules.
      put_aside: (machine, why) -> whether children can run elsewhere; from then on none runs there.

    Attributes:
      trouble: why the search should pause; empty while something works.
    """

    def __init__(self, tolerance: FaultTolerance, put_aside):
        self._tolerance, self._put_aside = tolerance, put_aside
        self._failed: dict[str, collections.deque[bool]] = {}  # by machine, of its last executions
        self._aside: set[str] = set()
        self._aside_in_a_row = self._infeasible_in_a_row = 0
        self._rewarded = False
        self._accuser: str | None = None
        self.trouble = ""

    def see(self, outcome: Outcome, trial: Trial) -> None:
        """Takes in how an execution of a trial ended, after the ledger has.

        Raises:
          InputError: a second machine found a mistake in the input, or one that is the only one.
        """
        if trial.status == "finished" and outcome.reason is None:
            self._rewarded, self._accuser, self.trouble = True, None, ""
            self._aside_in_a_row = self._infeasible_in_a_row = 0
            self._last_executions(outcome.machine).append(False)
        elif outcome.lost or (outcome.machine in self._aside and outcome.reason is not None):
            return
        elif outcome.user_error:
            self._hear(outcome.machine, trial)
        elif trial.status == "infeasible" and not outcome.over_deadline:
            self._infeasible_in_a_row += 1
            if not self._rewarded and self._infeasible_in_a_row >= self._tolerance.executions:
                self.trouble = f"{self._infeasible_in_a_row} architectures in a row were infeasible, {_last(trial)}"
        else:
            self._see_failure(outcome.machine, trial)

    def _last_executions(self, machine: str) -> collections.deque[bool]:
        return self._failed.setdefault(machine, collections.deque(maxlen=self._tolerance.executions))

    def _hear(self, machine: str, trial: Trial) -> None:
        """A mistake in the input that one machine finds may be that machine's: a disk that is not there."""
        if self._accuser is not None or not self._sent_aside(machine, f"trial {trial.number}: {trial.reason}"):
            raise InputError(f"trial {trial.number}: {trial.reason}")
        self._accuser = machine

    def _see_failure(self, machine: str, trial: Trial) -> None:
        failed = self._last_executions(machine)
        failed.append(True)
        if len(failed) < failed.maxlen or sum(failed) < self._tolerance.share * len(failed):
            return
        why = f"{sum(failed)} of the last {len(failed)} executions failed, {_last(trial)}"
        if self._sent_aside(machine, why):
            self._aside_in_a_row += 1
        if machine not in self._aside or self._aside_in_a_row >= _MOST_ASIDE:
            self.trouble = why

    def _sent_aside(self, machine: str, why: str) -> bool:
        if not machine or not self._put_aside(machine, why):
            return False
        self._aside.add(machine)
        print(f"machine {machine} is put aside, and what failed there is tried elsewhere: {why}")
        return True


def _last(trial: Trial) -> str:
    return f"the last one, of trial {trial.number}, so: {trial.reason}"
