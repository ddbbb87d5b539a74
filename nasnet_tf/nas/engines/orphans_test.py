"""Tests that a killed search leaves no process running, whether its children sleep, compute, trace or hang."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nasnet_tf.testing import is_alive, until

ALL_GONE_SECONDS = 10.0
WAYS = ("sleeps", "computes", "traces", "hangs")

# Runs a search, a retraining or a search that reuses its processes. The number of a trial decides how its child behaves. For a retraining,
# a first search gives rewards to the trials.
DRIVER = """
import functools, pathlib, signal, sys
from nasnet_tf.base.identity import Identity
from nasnet_tf.nas import retraining
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines import orphans_test
from nasnet_tf.nas.engines.local import InProcess, LocalPool
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.testing import JOURNAL_SPACE
if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the process that runs the tests may ignore it, as nohup does
    kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    pool = functools.partial(LocalPool, 4, keep_processes=kind == "kept")
    child = functools.partial(orphans_test.child, folder=folder)
    if kind == "loading":
        from endless import child
    config = SearchConfig(JOURNAL_SPACE, functools.partial(RandomSearch, seed=1), pool, 4, retrain_top=4, train_again=True)
    if kind == "retraining":
        first = SearchConfig(JOURNAL_SPACE, functools.partial(RandomSearch, seed=1), InProcess, 4)
        trials = search(folder / "run", first, orphans_test.rewarded)
        retraining.retrain_top(folder / "run" / "retrain", config, trials, child, print, Identity())
    else:
        search(folder / "run", config, child)
"""


def rewarded(text, request):
    return {"reward": len(text) / 1000}


def child(text, request, folder):
    """Creates a file once it sleeps, computes, traces or hangs, and never ends by itself."""
    number = int(text.split('"trial_')[1].split('"')[0])
    begun = (folder / f"child_{number}").touch
    way = WAYS[number % 4]
    if way == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if way == "traces":
        import tensorflow as tf

        while True:
            tf.function(lambda x: tf.reduce_sum(tf.matmul(x, x)))(tf.ones([8, 8]))
            begun()
    begun()
    while way == "computes":
        pass
    while True:
        time.sleep(600)


# Replaces TensorFlow and Keras, which take the fork server four seconds to load. Each name is an object with any attribute and any call.
STAND_IN = """
class Anything:
    def __getattr__(self, name):
        return self
    def __call__(self, *_):
        return self
def __getattr__(name):
    return Anything()
"""


@contextlib.contextmanager
def driven(kind, folder, with_tensorflow=True):
    """Runs a search; yields its process and a list for the processes to check.

    At the end of the `with`, all processes in the list and all that the search has started are killed.
    """
    (folder / "driver.py").write_text(DRIVER)
    for name in () if with_tensorflow else ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text(STAND_IN)
    command = [sys.executable, str(folder / "driver.py"), kind, str(folder)]
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(command, start_new_session=True, env=os.environ | {"PYTHONPATH": path})
    everything = []
    try:
        yield process, everything
    finally:
        everything += [other for other in processes_of(process) if other not in everything]
        for other in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        process.wait()


def processes_of(process):
    try:
        whole = psutil.Process(process.pid)
        return [whole, *whole.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def check_all_end(process, everything, number):
    process.send_signal(number)
    process.wait(ALL_GONE_SECONDS)
    began = time.monotonic()
    while left := [other for other in everything if other.is_running() and is_alive(other.pid)]:
        assert time.monotonic() - began < ALL_GONE_SECONDS, left
        time.sleep(0.05)


@pytest.mark.several_processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("kind", ["search", "retraining", "kept"])
def test_no_process_outlives_its_search(tmp_path, kind, number):
    # The signal that ends a search makes no difference to its children, so only one signal is tested with children that trace.
    with driven(kind, tmp_path, with_tensorflow=number == signal.SIGKILL) as (process, everything):
        until(lambda: process.poll() is not None or all((tmp_path / f"child_{each}").exists() for each in range(4)))
        everything += processes_of(process)
        assert len(everything) == 1 + 2 + 4  # the search; the fork server and the resource tracker; the children
        check_all_end(process, everything, number)


@pytest.mark.several_processes
def test_a_loading_fork_server_ends_with_its_search(tmp_path):
    with driven("search", tmp_path) as (process, everything):
        until(lambda: process.poll() is not None or len(processes_of(process)) == 3)
        everything += processes_of(process)
        check_all_end(process, everything, signal.SIGKILL)


ENDLESS = """
import pathlib, sys
if sys.argv[0] == "-c":  # in the fork server, which is started as python -c
    pathlib.Path(__file__).with_name("loads").touch()
    while True:
        pass
def child(text, request):
    return {"reward": 0.5}
"""


@pytest.mark.several_processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_loading_fork_server_ends_while_a_request_for_a_child_waits(tmp_path, number):
    (tmp_path / "endless.py").write_text(ENDLESS)
    with driven("loading", tmp_path) as (process, everything):
        until(lambda: process.poll() is not None or (tmp_path / "loads").exists())
        everything += processes_of(process)
        assert len(everything) == 3
        time.sleep(2.0)  # until the request has been sent
        check_all_end(process, everything, number)
