"""Breaks searches on purpose and checks what must hold afterwards.

    python tools/search_faults.py --engine=local
    python tools/search_faults.py --engine=ray

Real searches with a real engine, whose children only pretend to train. Prints a line for each fault, `ok` or `FAILED`; the exit code is 1
if any failed. With Ray, the cluster is one of two machines, both this one, on the loopback address. Takes some minutes; `--only` takes
the rows whose names contain a text, `--seed` the moments at which searches are killed.
"""

import argparse
import contextlib
import functools
import itertools
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

import psutil
from broken_search import SPACE, TIMEOUT, AtOnce, Search, check, child, is_alive, started_cluster, until

from nasnet_tf.nas import search
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import NAME, read_trials

DEADLINE = 4.0


class Faults:
    """The rows; each breaks something and raises AssertionError if what must hold does not. Returns what is worth telling."""

    _machines = 1  # that children run on

    def __init__(self, cluster: subprocess.Popen | None, address: str | None, moments: random.Random):
        self._cluster, self._address, self._moments = cluster, address, moments
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Leaves nothing of a row."""
        self._stack.close()

    def _search(self, **spec) -> Search:
        folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        begun = Search(spec.pop("address", self._address), folder, **spec)
        self._stack.callback(begun.end)
        return begun

    def child_is_killed(self) -> str:
        """Reissued; exactly one reward."""
        broken = self._search(ways={"1": "once is killed", "3": "once is killed"}, pause=0.2)
        broken.finish()
        broken.check_rewards()
        counts = [len(rows) for _, rows in sorted(broken.executions().items())]
        check(counts == [1, 2, 1, 2, 1, 1], f"executions {counts}")
        return f"executions {counts}"

    def search_is_killed_again_and_again(self) -> str:
        """No result is lost or there twice; what had its reward is not run again; rewards as if nothing had happened; nothing runs on."""
        spec = {"trials": 16, "pause": 1.0}
        whole = self._search(**spec)
        process = whole.start()
        began = time.monotonic()
        whole.finish(process)
        duration = time.monotonic() - began
        broken = self._search(**spec)
        known, kills = {}, 0
        while kills < 6:
            process = broken.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._moments.uniform(0.05, 0.45) * duration)
                break
            process.kill()
            process.wait()
            kills += 1
            broken.check_nothing_runs()
            executions = broken.executions()
            for number, count in known.items():
                check(len(executions[number]) == count, f"trial {number} had its reward and was run again")
            if (broken.folder / NAME).exists():
                known = {event["trial"]: len(executions[event["trial"]]) for event in broken.events("finished")}
        broken.finish()
        for number, count in known.items():
            check(len(broken.executions()[number]) == count, f"trial {number} had its reward and was run again")
        broken.check_rewards()
        rewards = [[(trial.hash, trial.reward) for trial in search.trials] for search in (whole, broken)]
        check(rewards[0] == rewards[1], "other rewards than without kills")
        ran = [sum(map(len, search.executions().values())) for search in (whole, broken)]
        check(ran[1] <= ran[0] + 2 * kills, f"{ran[1]} executions, {ran[0]} without the {kills} kills")
        return f"{kills} kills, {ran[1]} executions instead of {ran[0]}"

    def two_searches_in_one_folder(self) -> str:
        """The second is refused; the first goes on."""
        first = self._search(pause=1.0)
        process = first.start()
        first.wait_for_executions(1)
        first.finish(error="another search is running in this work folder")
        first.finish(process)
        first.check_rewards()
        return "the second: another search is running in this work folder"

    def child_out_of_memory(self) -> str:
        """At most 3 executions, then failed; the search goes on."""
        broken = self._search(ways={"1": "memory", "3": "is killed"})
        broken.finish()
        broken.check_rewards("fxfxff")
        counts = [len(rows) for _, rows in sorted(broken.executions().items())]
        check(counts == [1, 3, 1, 3, 1, 1], f"executions {counts}")
        return f"trial 1: {broken.trials[1].reason}; trial 3: {broken.trials[3].reason}"

    def child_of_nan(self) -> str:
        """Infeasible, once; the policy, which refuses anything but numbers, never sees it."""
        broken = self._search(ways={"0": "nan", "2": "inf"}, ppo=True)
        broken.finish()
        broken.check_rewards("ififff")
        check(all(len(rows) == 1 for rows in broken.executions().values()), "an infeasible child was run again")
        return f"trial 0: {broken.trials[0].reason}"

    def child_hangs(self) -> str:
        """Gone 5 seconds after its deadline at the latest, for good; its slot is used again."""
        broken = self._search(ways={"1": "hangs"}, workers=1, deadline=DEADLINE)
        broken.finish()
        broken.check_rewards("fiffff")
        (end,) = broken.events("infeasible")
        ((_, began),) = broken.executions()[1]
        took = end["time"] - began
        check(took <= DEADLINE + 5, f"took {took:.1f} seconds")
        check("killed at its deadline" in end["reason"], end["reason"])
        return f"recorded {took:.1f} seconds after it began, with a deadline of {DEADLINE:g}"

    def ten_failures_in_a_row(self) -> str:
        """Pauses with the reason; goes on when the reason is gone."""
        broken = self._search(trials=12, ways={"all": "raises"})  # more attempts than ten on each machine
        broken.finish(error="10 of the last 10 executions failed, the last one in trial")
        failures = len(broken.events("failed"))
        most = 10 * self._machines
        check(
            most <= failures <= most + 1, f"{failures} failures, expected ten on each of {self._machines} machines"
        )  # a child may still end
        broken.finish(ways={})
        check(all(trial.status == "finished" or trial.attempts == 3 for trial in broken.trials), "a trial was forgotten")
        return f"{sum(trial.status == 'finished' for trial in broken.trials)} of {len(broken.trials)} trials finished afterwards"

    def torn_journal_and_bad_snapshots(self) -> str:
        """The tail goes; the snapshot before it, or none, serves; the controller comes out the same."""
        spec = {"trials": 7, "workers": 1, "ppo": True, "snapshot_every_rows": 4}
        whole = self._search(**spec)
        state = whole.finish()
        for damage in ("empty", "corrupt"):
            broken = self._search(**spec)
            broken.finish(trials=5)
            newest = max(broken.folder.glob("*.snapshot"))
            content = newest.read_bytes()
            newest.write_bytes(b"" if damage == "empty" else content[:-1] + bytes([content[-1] ^ 1]))
            journal = broken.folder / NAME
            journal.write_bytes(journal.read_bytes()[:-20])
            output = broken.finish()
            check("damaged; skipped" in output, "nothing was said about the snapshot")
            check(output.splitlines()[-1] == state.splitlines()[-1], "the controller is another")
            broken.check_rewards()
        return "the same controller with an empty and with a corrupt snapshot, each with half a last line"

    def late_duplicate(self) -> str:
        """Ignored, and told."""
        broken = self._search(workers=1, repeat=True)
        output = broken.finish()
        broken.check_rewards()
        check(len(broken.events("finished")) == 6, "a result was taken twice")
        told = output.count("ignored another result, which came late")
        check(told == 5, f"told {told} times")  # the last comes after the end
        return f"{told} duplicates ignored"

    def the_same_search_with_and_without_kill(self) -> str:
        """One worker and a seed give the same architectures and the same controller."""
        spec = {"trials": 13, "workers": 1, "ppo": True}
        whole = self._search(**spec)
        state = whole.finish()
        broken = self._search(**spec)
        process = broken.start()
        broken.wait_for_executions(self._moments.randrange(7, 12))
        process.kill()
        process.wait()
        broken.check_nothing_runs()
        output = broken.finish()
        hashes = [[trial.hash for trial in search.trials] for search in (whole, broken)]
        check(hashes[0] == hashes[1], "other architectures")
        check(output.splitlines()[-1] == state.splitlines()[-1], "another controller")
        check(broken.finish().splitlines()[-1] == state.splitlines()[-1], "another controller after replaying it all")
        return f"{len(hashes[0])} architectures and the controller's state are equal"

    def twenty_thousand_trials(self) -> str:
        """At the end a trial takes no more than twice of what it took at 1,000. Without an engine."""
        folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # progress
            search.search(folder, SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), AtOnce, 20_000), child)
        times = [trial.proposed_time for trial in read_trials(folder)]
        steps = [1000 * (after - before) for before, after in itertools.pairwise(times)]
        early, late = statistics.median(steps[500:1500]), statistics.median(steps[-1000:])
        check(late <= 2 * early, f"{late:.1f} ms a trial at the end, {early:.1f} at 1,000")
        return f"{early:.1f} ms a trial at 1,000, {late:.1f} at 20,000"


class RayFaults(Faults):
    """Those that only a cluster can have."""

    _machines = 2

    def _tell_cluster(self, word: str) -> None:
        self._cluster.stdin.write(f"{word}\n")
        self._cluster.stdin.flush()
        check(self._cluster.stdout.readline() == "done\n", "the cluster is gone")

    def machine_leaves_and_another_joins(self) -> str:
        """What it ran runs again elsewhere; exactly one reward; its room is gone, and there again with the next."""
        broken = self._search(trials=10, workers=None, pause=3.0)
        process = broken.start()
        until(lambda: self._max_at_a_time(broken, time.time()) == 2)  # one on each machine
        self._tell_cluster("remove")
        left = sum(map(len, broken.executions().values()))
        broken.wait_for_executions(left + 2)
        until(lambda: self._max_at_a_time(broken, time.time() - 0.5) == 1)
        self._tell_cluster("add")
        until(lambda: self._max_at_a_time(broken, time.time() - 0.5) == 2)
        broken.finish(process)
        broken.check_rewards()
        failures = broken.events("failed")
        check(1 <= len(failures) <= 2, f"{len(failures)} failures")
        check(failures[0]["reason"] == "its machine left the cluster", failures[0]["reason"])
        return f"reissued: {', '.join(str(event['trial']) for event in failures)} ({failures[0]['reason']})"

    def _max_at_a_time(self, broken: Search, moment: float) -> int:
        ends = {event["trial"]: event["time"] for event in broken.events("finished")}
        rows = broken.executions()
        return sum(rows[number][-1][1] <= moment < ends.get(number, math.inf) for number in rows)

    def cluster_of_its_own_is_killed(self) -> str:
        """Nothing of it stays."""
        broken = self._search(address="local", pause=TIMEOUT)
        process = broken.start()
        broken.wait_for_executions(1)
        everything = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        process.kill()
        process.wait()
        began = time.monotonic()
        broken.check_nothing_runs()
        children = time.monotonic() - began
        until(lambda: not any(map(is_alive, everything)), 120)
        return f"children ended after {children:.1f} seconds, the last of {len(everything)} processes after {time.monotonic() - began:.1f}"


def run_rows(faults: Faults, only: str) -> bool:
    """Runs the rows in the order they are written, and prints how it went; returns whether all went well."""
    classes = [kind for kind in reversed(type(faults).__mro__) if issubclass(kind, Faults)]
    names = itertools.chain.from_iterable(vars(kind) for kind in classes)
    all_ok = True
    for name in (name for name in names if name[0] != "_" and name != "close" and only in name):
        began = time.monotonic()
        try:
            word, remark = "ok", getattr(faults, name)()
        except Exception as error:
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            word, remark, all_ok = "FAILED", f"{type(error).__name__}: {error}", False
        finally:
            faults.close()
        print(f"{word:6} {name.replace('_', ' ')} ({time.monotonic() - began:.0f} s): {remark}", flush=True)
    return all_ok


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", choices=["local", "ray"], required=True)
    parser.add_argument("--only", default="", help="a part of the names of the rows to run, with _ for blanks")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kills")
    args = parser.parse_args()
    # Searches, their children and the cluster import this file by its name.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(pathlib.Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    moments = random.Random(args.seed)
    if args.engine == "local":
        return int(not run_rows(Faults(None, None, moments), args.only))
    with started_cluster() as (cluster, address):
        return int(not run_rows(RayFaults(cluster, address, moments), args.only))


if __name__ == "__main__":
    sys.exit(main())
