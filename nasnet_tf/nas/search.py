"""The search loop: propose, run, reward, until the budget is spent (paper section 3.1).

Killed at any moment, it continues by repeating the call: finished children keep their one reward, those that were running run again.
"""

import pathlib
from collections.abc import Callable

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.nas.journal import Trial
from nasnet_tf.nas.ledger import MAX_ATTEMPTS, Ledger
from nasnet_tf.training.progress import ProgressLine

MAX_CONSECUTIVE_FAILURES = 10
BEST_NAME = "best.textproto"


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
) -> list[Trial]:
    """Searches until num_trials architectures have been proposed and have ended.

    Args:
      workdir: of this search alone; gets journal.jsonl and best.textproto.
      space: what is searched.
      strategy: from nasnet_tf.nas.strategies, over the same space.
      engine: () -> engine, as in nasnet_tf.nas.engines.
      evaluate: textproto -> {"reward": float, "metrics": {...}} or {"infeasible": reason}; picklable, called in a child.
      num_trials: architectures to try; may be raised later to continue a search that has ended.
      identity: what the journal must have been written with, to be continued.

    Returns:
      All trials.

    Raises:
      InputError: a work folder of another search or in use by another, or a child that found a mistake in the input.
      SearchPaused: 10 executions in a row failed.
    """
    if num_trials < 1:
        raise InputError(f"search.num_trials: expected 1 or more, got {num_trials}")
    ledger = Ledger(workdir, space, strategy, identity or {})
    try:
        _report_restored(ledger)
        waiting = ledger.unfinished()
        pool = engine() if waiting or len(ledger.trials) < num_trials else None
        try:
            if pool is not None:
                _run(ledger, pool, waiting, evaluate, num_trials, workdir)
        finally:
            if pool is not None:
                pool.close()
        _write_best(ledger, workdir)
        return ledger.trials
    finally:
        ledger.close()


def _run(ledger: Ledger, pool, waiting: list[Trial], evaluate, num_trials: int, workdir: pathlib.Path) -> None:
    ended = sum(trial.status in ("finished", "infeasible") or trial.attempts >= MAX_ATTEMPTS for trial in ledger.trials)
    line = ProgressLine("search", num_trials, "trials", ended)
    running: set[int] = set()
    failures = 0
    while True:
        while pool.free_slots > 0 and (waiting or len(ledger.trials) < num_trials):
            trial = waiting.pop(0) if waiting else ledger.propose()
            if trial.status == "finished":  # known already
                ended += 1
                continue
            running.add(trial.number)
            pool.submit(trial.number, evaluate, format_genotype(trial.genotype))
        if not running:
            return
        for outcome in pool.poll(timeout_seconds=5.0):
            running.discard(outcome.key)
            trial = ledger.record(outcome)
            if outcome.user_error:
                raise InputError(f"trial {trial.number}: {trial.reason}")
            failures = failures + 1 if trial.status == "failed" else 0
            if failures >= MAX_CONSECUTIVE_FAILURES:
                raise SearchPaused(f"{failures} executions in a row failed, the last one, of trial {trial.number}, so: {trial.reason}")
            if trial.status == "failed" and trial.attempts < MAX_ATTEMPTS:
                waiting.append(trial)
            else:
                ended += 1
                _write_best(ledger, workdir)
        best = ledger.best()
        line.update(ended, **({"best": best.reward, "of_trial": best.number} if best else {}), running=len(running))


def _report_restored(ledger: Ledger) -> None:
    if ledger.num_restored:
        finished = sum(trial.status == "finished" for trial in ledger.trials)
        print(f"continuing: {len(ledger.trials)} trials in the journal, {finished} rewarded, {len(ledger.unfinished())} to run again")


def _write_best(ledger: Ledger, workdir: pathlib.Path) -> None:
    """best.textproto, replaced as a whole so that a reader never sees half of it."""
    best = ledger.best()
    if best is None:
        return
    temporary = workdir / f"{BEST_NAME}.tmp"
    temporary.write_text(f"# reward {best.reward} of trial {best.number}\n{format_genotype(best.genotype)}")
    temporary.replace(workdir / BEST_NAME)
