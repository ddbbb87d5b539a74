"""The search loop: propose, run, reward, until the budget is spent (paper section 3.1).

Killed at any moment, it continues by repeating the call: finished children keep their one reward, those that were running run again.
"""

import collections
import functools
import pathlib
import time
from collections.abc import Callable, Sequence

from nasnet_tf.base.errors import EngineLost, InputError, SearchPaused
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.base.terminal import ProgressLine
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.halving import SuccessiveHalving
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.limits import Budget, Limits, Rates
from nasnet_tf.nas.trials.faults import FaultTolerance, Watch
from nasnet_tf.nas.trials.ledger import DEFAULT_TOLERANCE, Ledger
from nasnet_tf.nas.trials.trial import Trial

BEST_NAME = "best.textproto"
NO_IDENTITY, NO_LIMITS, NO_RATES = Identity(), Limits(), Rates()


def search(
    workdir: pathlib.Path,
    space: SearchSpace,
    strategy,
    engine: Callable,
    evaluate: Callable[[str], dict],
    num_trials: int,
    identity: Identity = NO_IDENTITY,
    early_stopping: EarlyStopping | None = None,
    train_again: bool = False,
    limits: Limits = NO_LIMITS,
    tolerance: FaultTolerance = DEFAULT_TOLERANCE,
    deadline_reward: float | None = None,
    take_over: Sequence[tuple[str, Trial]] = (),
    rates: Rates = NO_RATES,
    scalars: bool = False,
    halving: SuccessiveHalving | None = None,
    spent: tuple[str, float] = ("", 0.0),
) -> list[Trial]:
    """Searches until num_trials architectures have been proposed and have ended, or until a limit is reached.

    Args:
      workdir: of this search alone; gets journal.jsonl and best.textproto.
      space: what is searched.
      strategy: from nasnet_tf.nas.strategies.protocol, over the same space.
      engine: () -> engine, as in nasnet_tf.nas.engines.local.
      evaluate: (textproto, bars) -> {"reward": number, "metrics": {...}} or {"infeasible": reason}; picklable, called in a child. Numbers
        may be Python's, numpy's or tensors; metrics may hold whatever JSON has a word for. The bars are those of early stopping, None
        without it; with successive halving they are a nasnet_tf.nas.children.halving.Stage.
      num_trials: architectures to try, besides those taken over; may be raised later to continue a search that has ended.
      identity: what the journal must have been written with, to be continued.
      early_stopping: when children are stopped; they report the accuracies it needs as the metric "curve". None for never.
      train_again: an architecture that is proposed again is trained again, as in the paper of regularized evolution, rather than to get the
        reward it had.
      limits: what else may end the search.
      tolerance: when an architecture, a machine, the search is given up.
      deadline_reward: what the strategy learns of a child that was killed at its deadline, a finite number; None for nothing. It counts as
        infeasible either way.
      take_over: (work folder, trial) of other searches, as nasnet_tf.nas.trials.earlier.trials_of finds them, to begin with.
      rates: what a child's hour takes, for the line of progress and the report.
      scalars: every result goes to TensorBoard's files, besides the updates of the strategy.
      halving: children begin with short trainings, and the best go on; None to train all to their end.
      spent: (on what, seconds) that were spent before, as on shared weights; counts as children's time.

    Returns:
      All trials.

    Raises:
      InputError: a work folder of another search or in use by another, or children that found a mistake in the input: of two machines, or
        one where there is but one.
      SearchPaused: nothing works any more.
    """
    if num_trials < 1:
        raise InputError(f"search.num_trials: expected 1 or more, got {num_trials}")
    if halving is not None and (early_stopping is not None or train_again):
        raise InputError("search.halving: expected neither search.early_stopping nor search.train_again beside it")
    ledger = Ledger(workdir, space, strategy, identity, train_again, tolerance, deadline_reward, scalars)
    try:
        rates.save(workdir)
        _report_restored(ledger)
        ledger.take_over(take_over)
        ledger.spend(*spent)
        budget = Budget(limits, ledger.trials)
        is_over = budget.is_spent(ledger.child_seconds, ())
        has_more = halving is not None and halving.promotable(ledger.trials, ()) is not None
        if not is_over and (has_more or ledger.unfinished() or _may_propose(ledger, num_trials, limits, 0)):
            pool = engine()
            try:
                _run(ledger, pool, num_trials, evaluate, early_stopping, limits, tolerance, budget, rates, halving)
            finally:
                pool.close()
        _write_best(ledger)
        return ledger.trials
    finally:
        ledger.close()


def _may_propose(ledger: Ledger, num_trials: int, limits: Limits, open_trainings: int) -> bool:
    trainings = ledger.num_trained + open_trainings
    return len(ledger.trials) - ledger.num_taken < num_trials and (limits.max_trainings is None or trainings < limits.max_trainings)


def _run(
    ledger: Ledger, pool, num_trials: int, evaluate, early_stopping, limits: Limits, tolerance, budget: Budget, rates: Rates, halving
) -> None:
    waiting = collections.deque(ledger.unfinished())
    line = ProgressLine("search", num_trials + ledger.num_taken, "trials", ledger.num_ended)
    running: dict[int, str] = {}  # hashes by number
    started: dict[int, float] = {}  # when, likewise
    twins: list[Trial] = []  # wait for one of the same architecture that runs; each holds a slot, lest a search propose without feedback
    watch = Watch(tolerance, functools.partial(_put_aside, ledger, pool))

    def start(trial: Trial, rung: int) -> None:
        running[trial.number], started[trial.number] = trial.hash, time.monotonic()
        if halving is None:
            how = None if early_stopping is None else early_stopping.bars(ledger.peers, ledger.whole)
        else:
            ledger.begin(trial, rung)
            how = halving.stage(trial, rung, ledger.workdir)
        pool.submit(trial.number, evaluate, trial.text, how)

    while True:
        while pool.free_slots > len(twins) and not watch.trouble and not budget.is_spent(ledger.child_seconds, started.values()):
            promoted = None if halving is None or waiting else halving.promotable(ledger.trials, running)
            if promoted is not None:
                start(promoted, len(promoted.rung_rewards))
                continue
            if not waiting and not _may_propose(ledger, num_trials, limits, len(running)):
                break
            trial = waiting.popleft() if waiting else ledger.propose()
            if trial.is_rewarded_or_infeasible or ledger.settle(trial):
                continue
            if trial.hash in running.values() and not ledger.train_again:
                twins.append(trial)
                continue
            start(trial, 0)
        if watch.trouble and (not running or not tolerance.drain):
            raise SearchPaused(watch.trouble)
        if not running:
            return
        for outcome in _poll(pool):
            was_running = running.pop(outcome.key, None) is not None
            started.pop(outcome.key, None)
            trial = ledger.record(outcome)
            if not was_running:  # a result that came twice
                continue
            if halving is not None:
                halving.clean(trial, ledger.workdir)
            num_aside = len(ledger.aside)
            watch.see(outcome, trial)
            if len(ledger.aside) > num_aside:  # some that had been given up are open again
                elsewhere = running.keys() | {twin.number for twin in twins}
                waiting = collections.deque(trial for trial in ledger.unfinished() if trial.number not in elsewhere)
            elif trial.status == "failed" and not tolerance.is_given_up(trial):
                waiting.append(trial)
            elif trial is ledger.best:
                _write_best(ledger)
        waiting.extend(trial for trial in twins if trial.hash not in running.values())
        twins = [trial for trial in twins if trial.hash in running.values()]
        best = ledger.best
        known = {"best": best.reward, "of_trial": best.number} if best else {}
        line.update(ledger.num_ended, **known, running=len(running), **rates.estimate(ledger.child_seconds))


def _put_aside(ledger: Ledger, pool, machine: str, why: str) -> bool:
    if not pool.set_aside(machine):
        return False
    ledger.put_aside(machine, why)
    return True


def _poll(pool) -> list[Outcome]:
    try:
        return pool.poll(timeout_seconds=5.0)
    except EngineLost as error:
        raise SearchPaused(f"{error}; repeat the command to go on") from error


def _report_restored(ledger: Ledger) -> None:
    if ledger.num_restored:
        finished = sum(trial.status == "finished" for trial in ledger.trials)
        print(f"continuing: {len(ledger.trials)} trials in the journal, {finished} rewarded, {len(ledger.unfinished())} to run again")


def _write_best(ledger: Ledger) -> None:
    best = ledger.best
    if best is None:
        return
    replace_file(ledger.workdir / BEST_NAME, f"# reward {best.reward} of trial {best.number}\n{best.text}")
