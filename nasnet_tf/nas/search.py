"""The search loop: proposes architectures, runs children and collects rewards until a limit is reached (paper section 3).

If it is killed, repeat the call to resume it: finished children keep their reward, and those that were running run again.
"""

import collections
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterable

from nasnet_tf.base.errors import EngineLost, SearchPaused
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.base.terminal import ProgressLine
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.nas.children.objectives import WithObjective
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.engines.protocol import Engine
from nasnet_tf.nas.limits import Budget, Goal, Rates
from nasnet_tf.nas.trials.faults import Watch
from nasnet_tf.nas.trials.ledger import Ledger
from nasnet_tf.nas.trials.trial import Status, Trial

BEST_NAME = "best.textproto"
NO_IDENTITY = Identity()
Evaluate = Callable[[str, Request], dict]


def search(
    workdir: pathlib.Path,
    config: SearchConfig,
    evaluate: Evaluate,
    identity: Identity = NO_IDENTITY,
    take_over: Iterable[tuple[str, Trial]] = (),
    scalars: bool = False,
) -> list[Trial]:
    """Runs a search until all its trials have ended or a limit is reached.

    Args:
      workdir: work folder for this search only; journal.jsonl and best.textproto are written there.
      config: the configuration of the search.
      evaluate: function (textproto, request) that returns {"reward": number, "metrics": {...}} or {"infeasible": reason}. It must be
        picklable, because it is called in a child. Numbers may be Python numbers, NumPy scalars or tensors; metrics may have any values
        that JSON can express.
      identity: the settings that must be the same to resume a search.
      take_over: (work folder, trial) for each trial of other searches to start from; see `nasnet_tf.nas.trials.earlier.trials_of`.
      scalars: whether to write the result of each trial to TensorBoard's files. Updates of the strategy are always written there.

    Returns:
      All trials.

    Raises:
      InputError: the work folder is in use or belongs to another search; or two machines, or the only one, reported a mistake in the input.
      SearchPaused: no machine works any more, the engine is lost, or the strategy finds no allowed architecture.
    """
    strategy = config.new_strategy()
    if config.objective is not None:
        evaluate = WithObjective(evaluate, config.objective)
    spent = ("", 0.0) if config.evaluator is None else config.evaluator.prepare(workdir)
    ledger = Ledger(workdir, config.space, strategy, identity, config.train_again, config.tolerance, config.deadline_reward, scalars)
    try:
        rates = Rates(config.child_watts, config.child_hour_price)
        rates.save(workdir)
        _report_restored(ledger)
        ledger.take_over(take_over)
        ledger.spend(*spent)
        loop = _Loop(config, ledger, evaluate, rates)
        if loop.has_work():
            engine = config.new_engine()
            try:
                loop.run(engine)
            finally:
                engine.close()
        loop.report_goal()
        _write_best(ledger)
        return ledger.trials
    finally:
        ledger.close()


@dataclasses.dataclass(frozen=True)
class _Execution:
    trial: Trial
    request: Request
    began: float  # start time by the monotonic clock


class _Loop:
    """Runs a search in one process, from its start or restart to its end."""

    def __init__(self, config: SearchConfig, ledger: Ledger, evaluate: Evaluate, rates: Rates):
        self._config, self._ledger, self._evaluate, self._rates = config, ledger, evaluate, rates
        self._fidelity = config.fidelity
        self._budget = Budget(config.max_hours, config.max_child_hours, ledger.trials)
        self._goal = Goal(config.target, config.patience)
        self._waiting = collections.deque(ledger.unfinished())
        self._running: dict[int, _Execution] = {}  # by the number of the trial
        # Trials that wait for the reward of a running child with the same architecture. Each occupies a slot; otherwise the search could
        # propose the same architecture without end.
        self._twins: list[Trial] = []
        self._expected_gain: tuple[int, dict[str, float]] = 0, {}  # number of trainings at the last estimate, and the estimate

    def has_work(self) -> bool:
        """Returns whether there is a child to start."""
        if self._is_spent():
            return False
        return bool(self._waiting) or self._may_propose() or self._fidelity.promotable(self._ledger.trials, ()) is not None

    def run(self, engine: Engine) -> None:
        """Starts children and processes their outcomes until there is nothing left to start."""
        ledger, watch = self._ledger, Watch(self._config.tolerance, self._quarantine)
        line = ProgressLine("search", self._config.num_trials + ledger.num_taken, "trials", ledger.num_ended)
        self._engine, self._watch = engine, watch
        while True:
            self._start_children()
            if watch.trouble and (not self._running or not self._config.tolerance.drain):
                raise SearchPaused(watch.trouble)
            if not self._running:
                return
            for outcome in self._poll():
                self._take_in(outcome)
            self._waiting.extend(trial for trial in self._twins if not self._is_running(trial))
            self._twins = [trial for trial in self._twins if self._is_running(trial)]
            known = {"best": ledger.best.reward, "of_trial": ledger.best.number} if ledger.best else {}
            known |= self._expected()
            known |= {"running": len(self._running)} | self._rates.estimate(ledger.child_seconds)
            line.update(ledger.num_ended, max(0.0, self._budget.seconds_left), **known)

    def _expected(self) -> dict[str, float]:
        """Returns the gain that the strategy expects from another hour with all slots in use.

        The estimate is made again only after another training has ended. {} if the strategy makes none.
        """
        ledger = self._ledger
        if ledger.num_trained > self._expected_gain[0]:
            slots = self._engine.free_slots + len(self._running)
            an_hour = round(slots * 3600 * ledger.num_trained / max(ledger.child_seconds, 1e-3))
            gain = ledger.expected_gain(max(1, an_hour))
            self._expected_gain = ledger.num_trained, {} if gain is None else {"expected_in_an_hour": gain}
        return self._expected_gain[1]

    def report_goal(self) -> None:
        """Prints the reason if the search ended early because of its target or patience."""
        why = self._goal.reached(self._ledger.best, self._ledger.num_since_best)
        if why:
            print(f"the search ends: {why}")

    def _start_children(self) -> None:
        ledger, waiting = self._ledger, self._waiting
        while self._engine.free_slots > len(self._twins) and not self._watch.trouble and not self._is_spent():
            promoted = None if waiting else self._fidelity.promotable(ledger.trials, self._running)
            if promoted is not None:
                self._start(promoted)
                continue
            if not waiting and not self._may_propose():
                return
            trial = waiting.popleft() if waiting else ledger.propose()
            if trial.is_rewarded_or_infeasible or ledger.settle(trial):
                continue
            if self._is_running(trial) and not self._config.train_again:
                self._twins.append(trial)
            else:
                self._start(trial)

    def _start(self, trial: Trial) -> None:
        request = self._fidelity.request(trial, self._ledger.finished, self._ledger.workdir)
        self._running[trial.number] = _Execution(trial, request, time.monotonic())
        failed_on = {*trial.failed_on, *trial.failed_rungs_on} - {""}
        if failed_on:
            self._engine.avoid(trial.number, failed_on)
        self._engine.submit(trial.number, self._evaluate, trial.text, request)

    def _take_in(self, outcome: Outcome) -> None:
        ledger, execution = self._ledger, self._running.pop(outcome.key, None)
        if execution is None:  # a second result of an execution whose result was already processed
            ledger.record(outcome)
            return
        before = ledger.best
        trial = ledger.record(outcome, execution.request.rung)
        self._fidelity.clean(trial, ledger.workdir)
        num_quarantined = len(ledger.quarantined)
        self._watch.see(outcome, trial)
        if len(ledger.quarantined) > num_quarantined:  # some trials that were given up are open again
            elsewhere = self._running.keys() | {twin.number for twin in self._twins}
            self._waiting = collections.deque(trial for trial in ledger.unfinished() if trial.number not in elsewhere)
        elif trial.status == Status.FAILED and not self._config.tolerance.is_given_up(trial):
            self._waiting.append(trial)
        if ledger.best is not before or trial is ledger.best:
            _write_best(ledger)

    def _is_running(self, trial: Trial) -> bool:
        """Returns whether a child of the same architecture is running."""
        return any(execution.trial.hash == trial.hash for execution in self._running.values())

    def _is_spent(self) -> bool:
        if self._goal.reached(self._ledger.best, self._ledger.num_since_best):
            return True
        return self._budget.is_spent(self._ledger.child_seconds, (execution.began for execution in self._running.values()))

    def _may_propose(self) -> bool:
        ledger, max_trainings = self._ledger, self._config.max_trainings
        if max_trainings is not None and ledger.num_trained + len(self._running) >= max_trainings:
            return False
        return len(ledger.trials) - ledger.num_taken < self._config.num_trials

    def _quarantine(self, machine: str, why: str) -> bool:
        if not self._engine.quarantine(machine):
            return False
        self._ledger.quarantine(machine, why)
        return True

    def _poll(self) -> list[Outcome]:
        try:
            return self._engine.poll(timeout_seconds=5.0)
        except EngineLost as error:
            raise SearchPaused(f"{error}; repeat the command to resume") from error


def _report_restored(ledger: Ledger) -> None:
    if ledger.num_restored:
        counts = f"{len(ledger.trials)} trials in the journal, {len(ledger.finished)} rewarded"
        print(f"continuing: {counts}, {len(ledger.unfinished())} to run again")


def _write_best(ledger: Ledger) -> None:
    best = ledger.best
    if best is not None:
        replace_file(ledger.workdir / BEST_NAME, f"# reward {best.reward} of trial {best.number}\n{best.text}")
