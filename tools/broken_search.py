"""Runs searches in other processes, locally or on a Ray cluster of two machines, with children that only pretend to train.

Used by search_faults.py.
"""

import collections
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil

from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, genotype_hash, parse_genotype
from nasnet_tf.nas import search
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import LocalPool
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.engines.ray_tasks import RayTasks
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials import ledger
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import Trial

SPACE = SearchSpace(num_blocks=3)
TIMEOUT = 300.0


def child(text: str, request: Request, folder: str, ways: dict[str, str], pause: float) -> dict:
    """Pretends to train a child, and writes its process and time to the file marks/TRIAL.

    Args:
      text: genotype as textproto.
      request: ignored.
      folder: work folder of the search.
      ways: {trial or "all": how its executions fail}. With the prefix "once ", only the first execution fails.
      pause: seconds that the training takes.
    """
    number = re.search(r'"trial_(\d+)"', text)[1]
    marks = pathlib.Path(folder, "marks")
    marks.mkdir(exist_ok=True)
    with open(marks / number, "a") as file:
        file.write(f"{os.getpid()} {time.time()}\n")
    way = ways.get(number, ways.get("all", ""))
    if way.startswith("once ") and len((marks / number).read_text().splitlines()) > 1:
        way = ""
    time.sleep(pause)
    match way.removeprefix("once "):
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raises":
            raise RuntimeError("fails on purpose")
        case "memory":
            resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
            bytearray(2**35)
        case "hangs":  # re.match holds the lock of the interpreter, so no other thread of this process runs
            re.match(r"(a+)+$", "a" * 60 + "b")
        case "nan" | "inf":
            return {"reward": float(way)}
    return {"reward": reward_of(genotype_hash(parse_genotype(text)))}


def reward_of(digest: str) -> float:
    """Returns the reward of the architecture with this hash, in [0, 1)."""
    return int(digest[:4], 16) / 2**16


class Repeating:
    """An engine that reports every outcome twice: at once and in the next poll."""

    def __init__(self, engine):
        self._engine, self._again = engine, []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        late, self._again = self._again, self._engine.poll(timeout_seconds)
        return self._again + late


class AtOnce:
    """An engine whose children end immediately."""

    def __init__(self):
        self._outcomes = []

    @property
    def free_slots(self) -> int:
        return 1 - len(self._outcomes)

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        self._outcomes = [Outcome(key, 0.0, value={"reward": (key * 7919 % 10007) / 10007})]

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        ended, self._outcomes = self._outcomes, []
        return ended

    def close(self) -> None:
        pass


def drive(spec: dict) -> None:
    """Creates the file `begun`, runs a search, and prints a digest of the strategy's state at its end."""
    if spec["snapshot_every_rows"]:
        ledger._SNAPSHOT_EVERY_ROWS = spec["snapshot_every_rows"]
    workers, deadline, address = spec["workers"], spec["deadline"], spec["address"]

    def engine():
        pool = LocalPool(workers, deadline) if address is None else RayTasks(address, num_workers=workers, deadline_seconds=deadline)
        return Repeating(pool) if spec["repeat"] else pool

    strategy = PPOSearch(SPACE, 1, minibatch=5, learning_rate=0.1) if spec["ppo"] else RandomSearch(SPACE, 1)
    evaluate = functools.partial(child, folder=spec["folder"], ways=spec["ways"], pause=spec["pause"])
    pathlib.Path(spec["folder"], "begun").touch()
    config = SearchConfig(SPACE, lambda space: strategy, engine, spec["trials"])
    search.search(pathlib.Path(spec["folder"]), config, evaluate, Identity({"spec": "faults"}))
    print(f"state {hashlib.sha256(strategy.state()).hexdigest()}", flush=True)


def serve() -> None:
    """Starts a Ray cluster of two machines with one CPU each and prints its address.

    Lines "remove" and "add" on standard input remove the second machine and add one; "done" is printed after each.
    """
    from ray.cluster_utils import Cluster

    machine = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    second = cluster.add_node(**machine)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(**machine)
        print("done", flush=True)
    cluster.shutdown()


class Search:
    """A search in a folder, in a process of its own. Start it again to resume it."""

    def __init__(self, address: str | None, folder: pathlib.Path, **spec):
        defaults = {"trials": 6, "workers": 2, "deadline": TIMEOUT, "pause": 0.0, "ways": {}, "ppo": False, "repeat": False}
        self.folder, self.processes = folder, []
        self.spec = {**defaults, "snapshot_every_rows": 0, "folder": str(folder), "address": address, **spec}

    def start(self, **changes) -> subprocess.Popen:
        """Starts the search and returns its process once it has begun or ended; `changes` override the specification."""
        command = [sys.executable, "-c", "import json, sys, broken_search; broken_search.drive(json.loads(sys.argv[1]))"]
        command.append(json.dumps(self.spec | changes))
        begun = self.folder / "begun"
        begun.unlink(missing_ok=True)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.processes.append(process)
        until(lambda: begun.exists() or process.poll() is not None)
        return process

    def finish(self, process: subprocess.Popen | None = None, error: str | None = None, **changes) -> str:
        """Waits until the search ends, and returns its output.

        Args:
          process: a started process; None starts one.
          error: text that the last line of standard error must contain, with an exit code other than 0; None if the search must succeed.
          **changes: override the specification of a new process.
        """
        output, errors = (process or self.start(**changes)).communicate(timeout=TIMEOUT)
        last = (errors.strip().splitlines() or ["nothing"])[-1]
        code = (process or self.processes[-1]).returncode
        check((code != 0) == (error is not None), f"exit code {code}: {last}")
        check(error is None or error in last, f"expected the error {error!r}, got {last!r}")
        return output

    @property
    def trials(self) -> list[Trial]:
        """The trials in the journal."""
        return read_trials(self.folder)

    def events(self, kind: str) -> list[dict]:
        """Returns the events of a kind in the journal, without those that reuse the result of another trial."""
        lines = (self.folder / NAME).read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind and "reused_from" not in event]

    def executions(self) -> dict[int, list[tuple[int, float]]]:
        """Returns {trial: (process id, start in unix seconds) of each execution}."""
        marks = self.folder / "marks"
        files = marks.iterdir() if marks.exists() else []
        lines = {int(path.name): [line.split() for line in path.read_text().splitlines()] for path in files}
        return {number: [(int(pid), float(began)) for pid, began in rows] for number, rows in lines.items()}

    def wait_for_executions(self, count: int) -> None:
        """Waits until at least `count` executions have begun."""
        until(lambda: sum(map(len, self.executions().values())) >= count)

    def check_rewards(self, statuses: str = "") -> None:
        """Checks that every trial has the expected status, and that finished ones got the reward of their architecture exactly once.

        Args:
          statuses: a letter for each trial: "f" for finished, "x" for failed, "i" for infeasible; "" if all must have finished.
        """
        trials = self.trials
        wanted = statuses or "f" * self.spec["trials"]
        letters = "".join({"finished": "f", "failed": "x", "infeasible": "i"}.get(trial.status, "?") for trial in trials)
        check(letters == wanted, f"trials ended as {letters}, expected {wanted}")
        finished = [trial for trial in trials if trial.status == "finished"]
        check(all(trial.reward == reward_of(trial.hash) for trial in finished), "a trial has a reward other than that of its architecture")
        check(all(trial.reward is None for trial in trials if trial.status != "finished"), "an unfinished trial has a reward")
        counts = collections.Counter(event["trial"] for event in self.events("finished"))
        check(all(count == 1 for count in counts.values()), f"trials rewarded more than once: {counts}")

    def check_nothing_runs(self) -> None:
        """Waits until no child runs."""
        until(lambda: not any(is_alive(pid) for rows in self.executions().values() for pid, _ in rows))

    def end(self) -> None:
        """Kills all processes of the search."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.check_nothing_runs()


def check(condition: object, message: str) -> None:
    """Raises AssertionError with the message if the condition is false."""
    if not condition:
        raise AssertionError(message)


def until(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Waits until the condition is true; raises AssertionError after `seconds`."""
    began = time.monotonic()
    while not condition():
        check(time.monotonic() - began < seconds, f"the expected state was not reached in {seconds:g} seconds")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Returns whether a process exists and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def started_cluster() -> Iterator[tuple[subprocess.Popen, str]]:
    """Starts a cluster and yields its process and its address. Sets the environment variables that its searches need."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-c", "import broken_search; broken_search.serve()"]
    cluster = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield cluster, cluster.stdout.readline().strip()
    finally:
        cluster.communicate(timeout=TIMEOUT)
