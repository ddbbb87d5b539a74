"""Tests of what LocalPool alone has: the threads of its children, their end with their parent, and a fork server that is gone."""

import concurrent.futures.process
import os
import signal
import subprocess
import sys

import psutil
import pytest

from nasnet_tf.nas.engines.engines_test import child, collect
from nasnet_tf.nas.engines.local import LocalPool
from nasnet_tf.testing import TIMEOUT_SECONDS as TIMEOUT
from nasnet_tf.testing import is_alive, until


def test_the_environment_sets_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    engine = LocalPool(1, TIMEOUT)
    engine.submit(0, child, "ends well")
    threads = collect(engine, 1)[0].value["threads"]
    engine.close()
    assert threads == "7"


ORPHAN = """
import os, re, sys
from nasnet_tf.nas.engines.local import end_with_parent
begun, begin = os.pipe()
pid = os.fork()
if pid == 0:
    end_with_parent()
    os.write(begin, b"x")
    re.match(r"(a+)+$", "a" * 60 + "b")  # holds the GIL, so no other thread of the process can run
os.read(begun, 1)
print(pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems a thread watches the parent, and cannot run then")
def test_a_computing_child_ends_with_its_parent_even_if_that_is_a_zombie():
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    try:
        assert is_alive(pid)
        parent.kill()
        until(lambda: not is_alive(pid))
        assert psutil.Process(parent.pid).status() == psutil.STATUS_ZOMBIE
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
        parent.communicate()


def test_a_killed_fork_server_is_reported_in_one_line(monkeypatch):
    pool = LocalPool(1)
    future = concurrent.futures.Future()
    future.set_exception(concurrent.futures.process.BrokenProcessPool("All workers expired"))
    pool._running[future] = (0, 0.0)
    with pytest.raises(ChildProcessError, match="the process that children are forked from is gone: .* repeat the command to resume"):
        pool.poll(0.0)

    def broken(*_, **__):
        raise RuntimeError("Unexpected error within the Pool")

    monkeypatch.setattr(pool._pool, "schedule", broken)
    with pytest.raises(ChildProcessError, match="repeat the command to resume"):
        pool.submit(0, print)
    pool.close()
