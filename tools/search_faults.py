"""Breaks searches on purpose and checks that they recover.

    python tools/search_faults.py --engine=local
    python tools/search_faults.py --engine=ray

The searches and their engine are real, but the children only pretend to train. The script prints a line with `ok` or `FAILED` for each
fault, and exits with 1 if any failed. With Ray, the cluster has two machines, both simulated on this one at the loopback address. A run
takes some minutes. `--only` selects the faults whose names contain a text, and `--seed` draws the moments at which searches are killed.
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
    """The faults. Each method breaks something, raises AssertionError if the search does not recover, and returns a remark."""

    _machines = 1  # number of machines that run children

    def __init__(self, cluster: subprocess.Popen | None, address: str | None, moments: random.Random):
        self._cluster, self._address, self._moments = cluster, address, moments
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Ends the processes and removes the folders of the last fault."""
        self._stack.close()

    def _search(self, **spec) -> Search:
        folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        begun = Search(spec.pop("address", self._address), folder, **spec)
        self._stack.callback(begun.end)
        return begun

    def child_is_killed(self) -> str:
        """The child is run again, and its trial gets exactly one reward."""
        broken = self._search(ways={"1": "once is killed", "3": "once is killed"}, pause=0.2)
        broken.finish()
        broken.check_rewards()
        counts = [len(rows) for _, rows in sorted(broken.executions().items())]
        check(counts == [1, 2, 1, 2, 1, 1], f"executions {counts}")
        return f"executions {counts}"

    def search_is_killed_again_and_again(self) -> str:
        """Killing the search loses and duplicates no result.

        Rewarded trials are not run again, rewards are those of an uninterrupted search, and no process survives.
        """
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
                check(len(executions[number]) == count, f"trial {number} was rewarded and then run again")
            if (broken.folder / NAME).exists():
                known = {event["trial"]: len(executions[event["trial"]]) for event in broken.events("finished")}
        broken.finish()
        for number, count in known.items():
            check(len(broken.executions()[number]) == count, f"trial {number} was rewarded and then run again")
        broken.check_rewards()
        rewards = [[(trial.hash, trial.reward) for trial in search.trials] for search in (whole, broken)]
        check(rewards[0] == rewards[1], "rewards differ from those of the search without kills")
        ran = [sum(map(len, search.executions().values())) for search in (whole, broken)]
        check(ran[1] <= ran[0] + 2 * kills, f"{ran[1]} executions with {kills} kills, {ran[0]} without kills")
        return f"{kills} kills, {ran[1]} executions instead of {ran[0]}"

    def two_searches_in_one_folder(self) -> str:
        """The second search is refused; the first one continues."""
        first = self._search(pause=1.0)
        process = first.start()
        first.wait_for_executions(1)
        first.finish(error="another search is running in this work folder")
        first.finish(process)
        first.check_rewards()
        return "the second: another search is running in this work folder"

    def child_out_of_memory(self) -> str:
        """The child is run at most 3 times and then fails; the search continues."""
        broken = self._search(ways={"1": "memory", "3": "is killed"})
        broken.finish()
        broken.check_rewards("fxfxff")
        counts = [len(rows) for _, rows in sorted(broken.executions().items())]
        check(counts == [1, 3, 1, 3, 1, 1], f"executions {counts}")
        return f"trial 1: {broken.trials[1].reason}; trial 3: {broken.trials[3].reason}"

    def child_of_nan(self) -> str:
        """The child is infeasible after one execution, and its reward never reaches the policy, which would refuse it."""
        broken = self._search(ways={"0": "nan", "2": "inf"}, ppo=True)
        broken.finish()
        broken.check_rewards("ififff")
        check(all(len(rows) == 1 for rows in broken.executions().values()), "an infeasible child was run again")
        return f"trial 0: {broken.trials[0].reason}"

    def child_hangs(self) -> str:
        """The child is killed at most 5 seconds after its deadline and not run again; its slot is reused."""
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
        """The search pauses and reports the reason; it continues once the cause is removed."""
        broken = self._search(trials=12, ways={"all": "raises"})  # enough attempts for ten failures on each machine
        broken.finish(error="10 of the last 10 executions failed, the last one in trial")
        failures = len(broken.events("failed"))
        most = 10 * self._machines
        check(
            most <= failures <= most + 1, f"{failures} failures, expected ten on each of {self._machines} machines"
        )  # one more child may end
        broken.finish(ways={})
        check(all(trial.status == "finished" or trial.attempts == 3 for trial in broken.trials), "a trial was not retried")
        return f"{sum(trial.status == 'finished' for trial in broken.trials)} of {len(broken.trials)} trials finished afterwards"

    def torn_journal_and_bad_snapshots(self) -> str:
        """A torn last line and a damaged snapshot are ignored, and the controller ends in an equal state."""
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
            check("damaged; skipped" in output, "the damaged snapshot was not reported")
            check(output.splitlines()[-1] == state.splitlines()[-1], "the controller ends in another state")
            broken.check_rewards()
        return "equal controllers with an empty and a corrupt snapshot, and a torn last line"

    def late_duplicate(self) -> str:
        """A result that arrives a second time is ignored and reported."""
        broken = self._search(workers=1, repeat=True)
        output = broken.finish()
        broken.check_rewards()
        check(len(broken.events("finished")) == 6, "a result was recorded twice")
        reported = output.count("ignored another result, which came late")
        check(reported == 5, f"reported {reported} of 5 duplicates")  # the sixth comes after the end
        return f"{reported} duplicates ignored"

    def the_same_search_with_and_without_kill(self) -> str:
        """With one worker and a seed, a killed search ends with equal architectures and an equal controller."""
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
        check(hashes[0] == hashes[1], "the architectures differ")
        check(output.splitlines()[-1] == state.splitlines()[-1], "the controllers differ")
        check(broken.finish().splitlines()[-1] == state.splitlines()[-1], "the controllers differ after replaying the whole journal")
        return f"{len(hashes[0])} architectures and the controller's state are equal"

    def twenty_thousand_trials(self) -> str:
        """The last trials take at most twice the time of those around the 1,000th; children end immediately."""
        folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # hides the progress
            search.search(folder, SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), AtOnce, 20_000), child)
        times = [trial.proposed_time for trial in read_trials(folder)]
        steps = [1000 * (after - before) for before, after in itertools.pairwise(times)]
        early, late = statistics.median(steps[500:1500]), statistics.median(steps[-1000:])
        check(late <= 2 * early, f"{late:.1f} ms per trial at the end, {early:.1f} around the 1,000th")
        return f"{early:.1f} ms per trial around the 1,000th, {late:.1f} around the 20,000th"


class RayFaults(Faults):
    """The faults, with those that only occur in a cluster."""

    _machines = 2

    def _tell_cluster(self, word: str) -> None:
        self._cluster.stdin.write(f"{word}\n")
        self._cluster.stdin.flush()
        check(self._cluster.stdout.readline() == "done\n", "the cluster does not answer")

    def machine_leaves_and_another_joins(self) -> str:
        """Children of a lost machine run again on another one and are rewarded once; slots leave and come back with the machines."""
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
        return f"run again: {', '.join(str(event['trial']) for event in failures)} ({failures[0]['reason']})"

    def _max_at_a_time(self, broken: Search, moment: float) -> int:
        """Returns an upper bound of the number of children that run at a moment, in unix seconds."""
        ends = {event["trial"]: event["time"] for event in broken.events("finished")}
        rows = broken.executions()
        return sum(rows[number][-1][1] <= moment < ends.get(number, math.inf) for number in rows)

    def cluster_of_its_own_is_killed(self) -> str:
        """When the search is killed, all processes of its own cluster end."""
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
    """Runs the faults whose names contain `only`, in the order of the source, and prints a line for each; returns whether all are ok."""
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
    parser.add_argument("--only", default="", help="part of the names of the faults to run, with _ for spaces")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of kills")
    args = parser.parse_args()
    # Searches, their children and the cluster import broken_search by its name.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(pathlib.Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    moments = random.Random(args.seed)
    if args.engine == "local":
        return int(not run_rows(Faults(None, None, moments), args.only))
    with started_cluster() as (cluster, address):
        return int(not run_rows(RayFaults(cluster, address, moments), args.only))


if __name__ == "__main__":
    sys.exit(main())
