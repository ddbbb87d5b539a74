"""The search loop: propose, run, reward, until the budget is spent (paper section 3.1).

Killed at any moment, it continues by repeating the call: finished children keep their one reward, those that were running run again.
"""

import collections
import pathlib
from collections.abc import Callable

from nasnet_tf.errors import InputError
from nasnet_tf.files import replace_file
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.early_stopping import EarlyStopping
from nasnet_tf.nas.journal import Trial
from nasnet_tf.nas.ledger import MAX_ATTEMPTS, Ledger
from nasnet_tf.nas.limits import Limits
from nasnet_tf.training.progress import ProgressLine

MAX_CONSECUTIVE_FAILURES = 10
BEST_NAME = "best.textproto"
NO_LIMITS = Limits()


class SearchPaused(RuntimeError):
    """Children keep failing; the journal is whole and repeating the command goes on."""


def search(
    workdir: pathlib.Path,
    space: SearchSpace,
    strategy,
    engine: Callable,
    evaluate: Callable[[str], dict],
    num_trials: int,
    identity: dict | None = None,
    early_stopping: EarlyStopping | None = None,
    train_again: bool = False,
    limits: Limits = NO_LIMITS,
) -> list[Trial]:
    """Searches until num_trials architectures have been proposed and have ended, or until a limit is reached.

    Args:
      workdir: of this search alone; gets journal.jsonl and best.textproto.
      space: what is searched.
      strategy: from nasnet_tf.nas.strategies, over the same space.
      engine: () -> engine, as in nasnet_tf.nas.engines.
      evaluate: (textproto, bars) -> {"reward": float, "metrics": {...}} or {"infeasible": reason}; picklable, called in a child. The bars
        are those of early stopping, None without it.
      num_trials: architectures to try; may be raised later to continue a search that has ended.
      identity: what the journal must have been written with, to be continued.
      early_stopping: when children are stopped; they report the accuracies it needs as the metric "curve". None for never.
      train_again: an architecture that is proposed again is trained again, as in the paper of regularized evolution, rather than to get the
        reward it had.
      limits: what else may end the search.

    Returns:
      All trials.

    Raises:
      InputError: a work folder of another search or in use by another, or a child that found a mistake in the input.
      SearchPaused: 10 executions in a row failed.
    """
    if num_trials < 1:
        raise InputError(f"search.num_trials: expected 1 or more, got {num_trials}")
    ledger = Ledger(workdir, space, strategy, identity or {}, train_again)
    try:
        _report_restored(ledger)
        if ledger.unfinished() or _may_propose(ledger, num_trials, limits, 0):
            pool = engine()
            try:
                _run(ledger, pool, num_trials, evaluate, early_stopping, limits)
            finally:
                pool.close()
        _write_best(ledger)
        return ledger.trials
    finally:
        ledger.close()


def _may_propose(ledger: Ledger, num_trials: int, limits: Limits, open_trainings: int) -> bool:
    trainings = ledger.num_trained + open_trainings
    return len(ledger.trials) < num_trials and (limits.max_trainings is None or trainings < limits.max_trainings)


def _run(ledger: Ledger, pool, num_trials: int, evaluate, early_stopping: EarlyStopping | None, limits: Limits) -> None:
    waiting = collections.deque(ledger.unfinished())
    line = ProgressLine("search", num_trials, "trials", ledger.num_ended)
    running: dict[int, str] = {}  # hashes by number
    twins: list[Trial] = []  # wait for one of the same architecture that runs; each holds a slot, lest a search propose without feedback
    failures = 0
    while True:
        while pool.free_slots > len(twins) and (waiting or _may_propose(ledger, num_trials, limits, len(running))):
            trial = waiting.popleft() if waiting else ledger.propose()
            if trial.is_rewarded_or_infeasible or ledger.settle(trial):
                continue
            if trial.hash in running.values() and not ledger.train_again:
                twins.append(trial)
                continue
            running[trial.number] = trial.hash
            bars = None if early_stopping is None else early_stopping.bars([peer.metrics.get("curve", []) for peer in ledger.peers])
            pool.submit(trial.number, evaluate, trial.text, bars)
        if not running:
            return
        for outcome in pool.poll(timeout_seconds=5.0):
            running.pop(outcome.key, None)
            trial = ledger.record(outcome)
            if outcome.user_error:
                raise InputError(f"trial {trial.number}: {trial.reason}")
            if not outcome.lost:  # one machine that leaves takes all of its children along
                failures = failures + 1 if trial.status == "failed" else 0
            if failures >= MAX_CONSECUTIVE_FAILURES:
                raise SearchPaused(f"{failures} executions in a row failed, the last one, of trial {trial.number}, so: {trial.reason}")
            if trial.status == "failed" and trial.attempts < MAX_ATTEMPTS:
                waiting.append(trial)
            elif trial is ledger.best:
                _write_best(ledger)
        waiting.extend(trial for trial in twins if trial.hash not in running.values())
        twins = [trial for trial in twins if trial.hash in running.values()]
        best = ledger.best
        line.update(ledger.num_ended, **({"best": best.reward, "of_trial": best.number} if best else {}), running=len(running))


def _report_restored(ledger: Ledger) -> None:
    if ledger.num_restored:
        finished = sum(trial.status == "finished" for trial in ledger.trials)
        print(f"continuing: {len(ledger.trials)} trials in the journal, {finished} rewarded, {len(ledger.unfinished())} to run again")


def _write_best(ledger: Ledger) -> None:
    best = ledger.best
    if best is None:
        return
    replace_file(ledger.workdir / BEST_NAME, f"# reward {best.reward} of trial {best.number}\n{best.text}")
