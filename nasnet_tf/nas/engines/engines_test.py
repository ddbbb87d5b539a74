"""Tests of LocalPool and RayTasks, with children that do not train."""

import importlib.util
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time
import types

import psutil
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.engines.local import LocalPool
from nasnet_tf.nas.engines.ray_tasks import RayTasks
from nasnet_tf.testing import TIMEOUT_SECONDS as TIMEOUT
from nasnet_tf.testing import is_alive, until

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra [ray]")


def child(how: str, mark: pathlib.Path | None = None) -> dict:
    """Behaves as `how` says. Writes its process id and start time to `mark`; returns its process id and its environment."""
    if mark is not None:
        temporary = mark.with_suffix(".tmp")
        temporary.write_text(f"{os.getpid()} {time.time()}")
        temporary.rename(mark)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises":
        raise RuntimeError("no\ngood")
    if how == "cannot be pickled":
        return {"reward": 1.0, "metrics": {"names": {}.keys()}}
    if how == "exits":
        sys.exit("enough")
    if how == "input error":
        raise InputError("the data is not there")
    if how == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
        bytearray(2**35)
    if how == "sleeps":
        time.sleep(600)
    if how == "computes":  # holds the GIL, so no other thread of the process can run
        re.match(r"(a+)+$", "a" * 60 + "b")
    names = {"threads": "TF_NUM_INTRAOP_THREADS", "gpus": "CUDA_VISIBLE_DEVICES", "growth": "TF_FORCE_GPU_ALLOW_GROWTH"}
    return {"pid": os.getpid(), **{key: os.environ.get(name) for key, name in names.items()}}


# A cluster with one sleeping child. It ends when its standard input is closed or its process is killed. It claims to have a GPU.
SERVER = """
import functools, pathlib, ray, sys
from nasnet_tf.nas.engines import engines_test
from nasnet_tf.nas.engines.ray_tasks import RayTasks
if __name__ == "__main__":
    ray.init = functools.partial(ray.init, num_gpus=1)
    engine = RayTasks(num_cpus=0.5)
    engine.submit(0, engines_test.child, "sleeps", pathlib.Path(sys.argv[1]))
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    engine.close()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The process, the address and the mark of a cluster with room for three children or more."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "server.py").write_text(SERVER)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 32, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}.items():
            patch.setenv(name, value)
        command = [sys.executable, str(folder / "server.py"), str(folder / "mark")]
        # The cluster gets its own session, because a cluster that loses its driver kills its process group.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        address = server.stdout.readline().strip()
        assert address
        yield types.SimpleNamespace(server=server, address=address, mark=folder / "mark")
        server.communicate(timeout=TIMEOUT)


@pytest.fixture(scope="module", params=["local", pytest.param("ray", marks=needs_ray)])
def kind(request):
    return request.param


@pytest.fixture
def start(kind, request):
    """A function (number of children at a time, deadline, ...) that creates an engine, which is closed after the test."""
    engines = []

    def make(num_workers, deadline=TIMEOUT, **more):
        if kind == "local":
            engines.append(LocalPool(num_workers, deadline, **more))
        else:
            address = request.getfixturevalue("cluster").address
            engines.append(RayTasks(address, num_cpus=0.5, num_workers=num_workers, deadline_seconds=deadline, **more))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def collect(engine, count):
    outcomes = []
    until(lambda: outcomes.extend(engine.poll(5.0)) or len(outcomes) >= count)
    return {outcome.key: outcome for outcome in outcomes}


def pid_of(mark):
    until(mark.exists)
    return int(mark.read_text().split()[0])


def test_each_end_of_a_child_gives_its_outcome(start, kind, monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    engine = start(3)
    ways = {
        "ends well": None,
        "raises": r"RuntimeError: no good \(engines_test.py:\d+\)",
        "is killed": r"its process died \(.*\): killed, (or )?out of memory.*",
        "cannot be pickled": "its result cannot be sent to the search: cannot pickle 'dict_keys' object",
        "exits": r"SystemExit: enough \(engines_test.py:\d+\)",
        "memory": r"(MemoryError: .*|its process died .*)",
        "input error": "the data is not there",
    }
    waiting, outcomes = list(ways), {}
    while waiting or engine.free_slots < 3:
        while waiting and engine.free_slots:
            engine.submit(len(ways) - len(waiting), child, waiting.pop(0))
        outcomes |= collect(engine, 1)
    assert sorted(outcomes) == list(range(len(ways)))
    for (how, reason), (_, outcome) in zip(ways.items(), sorted(outcomes.items()), strict=True):
        assert (outcome.value is None) == (reason is not None)
        assert reason is None or re.fullmatch(reason, outcome.reason)
        assert outcome.user_error == (how == "input error")
        assert 0 < outcome.seconds < TIMEOUT
    assert outcomes[0].value["pid"] != os.getpid()
    assert outcomes[0].value["threads"] == "1"
    assert (outcomes[0].value["gpus"], outcomes[0].value["growth"]) == ((None, "true") if kind == "local" else ("-1", None))


def test_processes_are_kept_if_asked_for(start, kind):
    def pids(engine, ways):
        found = []
        for key, how in enumerate(ways):
            engine.submit(key, child, how)
            found.append((collect(engine, 1)[key].value or {}).get("pid"))
        return found

    fresh = start(1)
    assert len(set(pids(fresh, ["ends well"] * 3))) == 3
    fresh.close()
    kept = start(1, keep_processes=True)
    before = pids(kept, ["ends well"] * 5)
    assert len(set(before)) == 1 if kind == "local" else len(set(before)) < 5  # Ray may select any of several idle processes
    _, after = pids(kept, ["is killed", "ends well"])
    assert after is not None


def test_hung_child_is_killed_at_its_deadline(start, tmp_path):
    mark = tmp_path / "mark"
    for deadline in (2.0, 20.0, 100.0):  # the longer ones are for a machine so busy that the child does not begin in time
        engine = start(1, deadline)
        engine.submit(7, child, "computes", mark)
        assert engine.free_slots == 0
        outcome = collect(engine, 1)[7]
        assert outcome.seconds >= deadline
        assert outcome.reason == f"killed at its deadline of {deadline:g} seconds"
        assert engine.free_slots == 1
        if mark.exists():
            break
        engine.close()
    until(lambda: not is_alive(pid_of(mark)))

    def ends_well():
        engine.submit(8, child, "ends well")
        return collect(engine, 1)[8].value is not None

    until(ends_well)


def test_cancelling_and_closing_kill_children(start, tmp_path):
    engine = start(2)
    for key in range(2):
        engine.submit(key, child, "sleeps", tmp_path / str(key))
    pids = [pid_of(tmp_path / str(key)) for key in range(2)]
    engine.cancel(0)
    engine.cancel(5)  # never submitted
    assert engine.free_slots == 1
    until(lambda: not is_alive(pids[0]))
    assert is_alive(pids[1])
    engine.submit(2, child, "ends well")
    assert list(collect(engine, 1)) == [2]
    assert engine.poll(0.0) == []
    engine.close()
    until(lambda: not is_alive(pids[1]))


@needs_ray
def test_free_slots_follow_the_machines_of_a_cluster(cluster, monkeypatch):
    engine = RayTasks(cluster.address, num_cpus=0.1, num_workers=12)
    try:
        nodes = [{"Alive": True, "Resources": {"CPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
        monkeypatch.setattr(engine._ray, "nodes", lambda: nodes)
        assert engine.free_slots == 10
        nodes.append({"Alive": True, "Resources": {"CPU": 0.35, "GPU": 1.0}})
        assert engine.free_slots == 12
        engine._num_workers = None
        assert engine.free_slots == 13
        del nodes[0], nodes[1]
        assert engine.free_slots == 1
    finally:
        engine.close()


@needs_ray
def test_children_share_a_gpu_or_see_none(cluster, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def run(num_cpus, num_gpus):
        engine = RayTasks(cluster.address, num_cpus=num_cpus, num_gpus=num_gpus)
        try:
            engine.submit(0, child, "ends well")
            return engine.free_slots, collect(engine, 1)[0].value
        finally:
            engine.close()

    slots, value = run(num_cpus=0, num_gpus=0.5)
    assert (slots, value["gpus"], value["growth"], value["threads"]) == (1, "0", "true", "1")
    slots, value = run(num_cpus=0, num_gpus=1)
    assert (slots, value["gpus"], value["growth"]) == (0, "0", None)
    _, value = run(num_cpus=0.1, num_gpus=0)
    assert value["gpus"] == "-1"


@needs_ray
def test_closing_restores_the_signal_handler(cluster):
    before = signal.getsignal(signal.SIGTERM)
    engine = RayTasks(cluster.address, num_cpus=0.1)
    assert signal.getsignal(signal.SIGTERM) != before
    engine.close()
    assert signal.getsignal(signal.SIGTERM) == before


@needs_ray
def test_a_cluster_without_room_for_a_child_is_refused(cluster):
    with pytest.raises(
        InputError, match=r"expected a machine with 10000 CPUs and 0 GPUs for each child, got machines with 2 CPUs and 1 GPUs"
    ):
        RayTasks(cluster.address, num_cpus=10000)


@needs_ray
def test_another_token_is_refused(cluster):
    script = f"from nasnet_tf.nas.engines.ray_tasks import RayTasks\nRayTasks({cluster.address!r})"
    environment = os.environ | {"RAY_AUTH_TOKEN": "w" * 32}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 1
    assert re.search(f"InputError: RayTasks: could not join the cluster at {cluster.address}: .*[Tt]oken", result.stderr)


@needs_ray
def test_own_cluster_listens_on_loopback_and_ends_with_its_driver(cluster):
    pid = pid_of(cluster.mark)
    server = psutil.Process(cluster.server.pid)
    processes = [server, *server.children(recursive=True)]
    assert pid in [process.pid for process in processes]
    addresses = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    # These two daemons try for a minute to reach the cluster that is gone, which is too long for a test.
    late = [process for process in processes if " ".join(process.cmdline()).strip() in ("ray::DashboardAgent", "ray::RuntimeEnvAgent")]
    assert len(late) <= 2
    cluster.server.kill()
    until(lambda: not any(is_alive(process.pid) for process in processes if process not in late))
    for process in late:
        process.kill()
