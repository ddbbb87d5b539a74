"""Tests of the search loop and the process pool, with children that do not train."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, genotype_hash, load_genotype, parse_genotype
from nasnet_tf.nas import search as loop
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import LocalPool
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.testing import TIMEOUT_SECONDS, is_alive, until

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
RANDOM = functools.partial(RandomSearch, seed=4)


def child(text: str, request: Request = TO_THE_END, folder: str = "", pause: float = 0.0) -> dict:
    """Returns a reward computed from the hash of the architecture; appends its process id to a file in `folder`, if that is given."""
    digest = genotype_hash(parse_genotype(text))
    if folder:
        with open(pathlib.Path(folder) / digest, "a") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(pause)
    return {"reward": int(digest[:4], 16) / 2**16}


def misbehave(text: str, request: Request = TO_THE_END, how: str = "") -> dict:
    """Fails, or returns no usable reward, in the way that `how` names."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises":
        raise RuntimeError("no good")
    if how == "input error":
        raise InputError("the data is not there")
    if how == "hangs":
        time.sleep(600)
    return {"reward": float("nan")} if how == "nan" else {"infeasible": "diverged"}


def search(workdir, evaluate=child, num_trials=6, workers=2, deadline=TIMEOUT_SECONDS):
    config = SearchConfig(SPACE, RANDOM, functools.partial(LocalPool, workers, deadline), num_trials)
    return loop.search(workdir, config, evaluate, Identity({"seed": 4}))


def test_search_finds_the_best_and_can_be_extended(tmp_path):
    trials = search(tmp_path)
    assert [trial.status for trial in trials] == ["finished"] * 6
    best = max(trials, key=lambda trial: trial.reward)
    assert genotype_hash(load_genotype(str(tmp_path / loop.BEST_NAME))) == best.hash
    more = search(tmp_path, num_trials=8)
    assert [trial.hash for trial in more[:6]] == [trial.hash for trial in trials]
    assert len(more) == 8


@pytest.mark.parametrize(
    ("how", "status", "attempts", "reason"),
    [
        ("raises", "failed", 3, "RuntimeError: no good (search_test.py:"),
        ("killed", "failed", 3, "its process died"),
        ("nan", "infeasible", 1, "its reward is nan, not a finite number"),
        ("infeasible", "infeasible", 1, "diverged"),
    ],
)
def test_bad_children_do_not_stop_a_search(tmp_path, how, status, attempts, reason):
    trials = search(tmp_path, functools.partial(misbehave, how=how), num_trials=2, workers=1)
    assert [(trial.status, trial.attempts) for trial in trials] == [(status, attempts)] * 2
    assert all(reason in trial.reason for trial in trials)
    assert not (tmp_path / loop.BEST_NAME).exists()


def test_hanging_child_is_killed_at_its_deadline():
    pool = LocalPool(1, deadline_seconds=5.0)
    try:
        pool.submit(7, misbehave, "", None, "hangs")
        assert pool.free_slots == 0
        outcomes = []
        until(lambda: outcomes.extend(pool.poll(5.0)) or outcomes)
        assert [(outcome.key, outcome.reason) for outcome in outcomes] == [(7, "killed at its deadline of 5 seconds")]
        assert pool.free_slots == 1

        def ends_well():
            pool.submit(8, misbehave, "", None, "nan")
            outcomes[:] = []
            until(lambda: outcomes.extend(pool.poll(5.0)) or outcomes)
            return outcomes[0].value is not None

        until(ends_well)
    finally:
        pool.close()


def test_ten_failures_in_a_row_pause_the_search(tmp_path):
    with pytest.raises(loop.SearchPaused, match="10 of the last 10 executions failed, .* no good"):
        search(tmp_path, functools.partial(misbehave, how="raises"), num_trials=9)
    assert sum(trial.attempts for trial in read_trials(tmp_path)) >= 10


def test_mistake_in_the_input_ends_the_search(tmp_path):
    with pytest.raises(InputError, match="trial 0: the data is not there"):
        search(tmp_path, functools.partial(misbehave, how="input error"), num_trials=3, workers=1)


def test_max_trainings_does_not_count_reused_rewards(tmp_path):
    """A reused reward costs no training. With train_again, every proposal costs one."""

    def run(folder, **options):
        engine = LatestFirst()
        config = SearchConfig(SPACE, functools.partial(OfTwo, seed=0), lambda: engine, 9, **options)
        return loop.search(tmp_path / folder, config, child), engine

    trials, engine = run("known", max_trainings=2)
    assert (len(trials), len(engine.submitted)) == (2, 2)
    trials, engine = run("known")
    assert (len(trials), len(engine.submitted)) == (9, 0)
    trials, engine = run("again", train_again=True, max_trainings=5)
    assert (len(trials), len(engine.submitted)) == (5, 5)
    assert [trial.reused_from for trial in trials] == [None] * 5
    assert [trial.reward for trial in trials] == [trials[0].reward, trials[1].reward] * 2 + [trials[0].reward]
    with pytest.raises(InputError, match="search.max_trainings: expected an integer of 1 or more, or None, got 0"):
        run("none", max_trainings=0)


class LatestFirst:
    """An engine with three slots. Each poll runs the child that was submitted last."""

    def __init__(self):
        self.submitted, self.open = [], []

    @property
    def free_slots(self):
        return 3 - len(self.open)

    def submit(self, key, function, *args):
        self.submitted.append((key, *args))
        self.open.append((key, function, args))

    def poll(self, timeout_seconds):
        key, function, args = self.open.pop()
        return [Outcome(key, 1.0, value=function(*args))]

    def close(self):
        assert not self.open


class OfTwo(RandomSearch):
    """Proposes two architectures in turn."""

    def propose(self):
        self._turn = 1 - getattr(self, "_turn", 1)
        self._random.seed(self._turn)
        return super().propose()


def test_an_architecture_is_not_trained_twice_at_a_time(tmp_path):
    engine = LatestFirst()
    trials = loop.search(tmp_path, SearchConfig(SPACE, functools.partial(OfTwo, seed=0), lambda: engine, 8), child)
    assert len(engine.submitted) == 2
    assert [trial.status for trial in trials] == ["finished"] * 8
    assert [trial.reward for trial in trials] == [trials[0].reward, trials[1].reward] * 4


def test_trials_that_wait_for_a_running_twin_occupy_slots(tmp_path):
    """With three slots, one child runs and two trials wait for its reward, so the search stops proposing."""
    proposed = []

    class Same(RandomSearch):
        def propose(self):
            self._random.seed(0)
            return super().propose()

    class Watched(LatestFirst):
        def poll(self, timeout_seconds):
            proposed.append(len(read_trials(tmp_path)))
            return super().poll(timeout_seconds)

    trials = loop.search(tmp_path, SearchConfig(SPACE, functools.partial(Same, seed=0), Watched, 50), child)
    assert proposed == [3]
    assert [(trial.status, trial.reused_from) for trial in trials] == [("finished", None)] + [("finished", 0)] * 49


def test_machines_that_leave_do_not_pause_a_search(tmp_path):
    """Each architecture loses its machine nine times. As failures, these would be enough to pause the search."""

    class Leaving(LatestFirst):
        def poll(self, timeout_seconds):
            (outcome,) = super().poll(timeout_seconds)
            if sum(key == outcome.key for key, *_ in self.submitted) > 9:
                return [outcome]
            return [Outcome(outcome.key, 1.0, reason="its machine left", lost=True)]

    trials = loop.search(tmp_path, SearchConfig(SPACE, RANDOM, Leaving, 8), child)
    assert [(trial.status, trial.attempts) for trial in trials] == [("finished", 10)] * 8


def curve_child(text: str, request: Request) -> dict:
    """Returns a curve of three evaluations that rises by 0.1 each time, unless a threshold stops the child."""
    curve, bars = [], request.bars
    for evaluation in range(3):
        curve.append(child(text)["reward"] / 2 + 0.1 * evaluation)
        if bars and evaluation < len(bars) and curve[-1] < bars[evaluation].min_accuracy:
            return {"reward": bars[evaluation].predict(curve[-1]), "metrics": {"curve": curve, "stopped_epoch": evaluation + 1}}
    return {"reward": curve[-1], "metrics": {"curve": curve}}


def test_the_worst_children_are_stopped_and_their_rewards_are_predicted(tmp_path):
    rule = EarlyStopping(quantile=0.3, least_peers=5)
    trials = loop.search(tmp_path, SearchConfig(SPACE, RANDOM, LatestFirst, 40, early_stopping=rule), curve_child)
    stopped = [trial for trial in trials if "stopped_epoch" in trial.metrics]
    assert 3 <= len(stopped) <= 20
    for trial in trials:  # all curves rise by the same amounts, so predictions are exact
        assert trial.reward == pytest.approx(trial.metrics["curve"][0] + 0.2, abs=1e-9)
    assert max(trial.reward for trial in stopped) < sorted(trial.reward for trial in trials)[30]


SCRIPT = """
import functools, pathlib, sys
from nasnet_tf.nas import search_test
if __name__ == "__main__":
    search_test.search(pathlib.Path(sys.argv[1]), functools.partial(search_test.child, folder=sys.argv[2], pause=0.3), num_trials=10)
"""


def test_a_killed_search_leaves_nothing_running_and_resumes(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "run"), str(marks)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    journal = tmp_path / "run" / "journal.jsonl"
    until(lambda: journal.exists() and journal.read_text().count('"finished"') >= 2)
    process.kill()
    process.wait()
    before = {trial.number: trial.reward for trial in read_trials(tmp_path / "run") if trial.status == "finished"}
    assert len(before) >= 2
    pids = {int(line) for path in marks.iterdir() for line in path.read_text().split()}
    until(lambda: not any(is_alive(pid) for pid in pids))

    subprocess.run(command, check=True, timeout=TIMEOUT_SECONDS, stderr=subprocess.DEVNULL)
    trials = read_trials(tmp_path / "run")
    assert [trial.status for trial in trials] == ["finished"] * 10
    assert all(trials[number].reward == reward for number, reward in before.items())
    for number in before:  # rewarded trials did not run again
        assert len((marks / trials[number].hash).read_text().split()) == 1
    assert journal.read_text().count('"finished"') == 10
