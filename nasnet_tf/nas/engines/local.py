"""Engines of one machine: LocalPool runs children in processes, InProcess in the searching process itself."""

import concurrent.futures
import concurrent.futures.process
import ctypes
import gc
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from nasnet_tf.base.cpus import available_cpus
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.values import Count, Positive, checked
from nasnet_tf.nas.engines import SEARCH_PROCESS
from nasnet_tf.nas.engines.outcome import Outcome, run_child, thread_environment
from nasnet_tf.nas.engines.protocol import Engine

pebble = OnDemand("pebble")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class LocalPool(Engine):
    """Child processes of this machine, each execution in a fresh one unless they are kept.

    Children are forked from a server that has TensorFlow loaded but has never used it: each starts in a quarter of a second instead of
    ten. Threads of a running TensorFlow do not survive a fork, which is why the searching process itself, whose controller uses
    TensorFlow, is not forked.

    Children end with the process that made the pool, however it ends. The fork server ends when nobody holds the write end of its pipe any
    more. Python gives that end to the children too, and they close it: otherwise the server would wait for its children, and they for it.
    The kernel (on Linux; elsewhere a thread in each child) kills the children of a server that has ended.

    Where there is a GPU, all share the first one; RayTasks gives each child one, or a part of one.

    Args:
      num_workers: children at a time; each gets its share of the cores as threads, unless TF_NUM_INTRAOP_THREADS and
        TF_NUM_INTEROP_THREADS in the environment say how many.
      deadline_seconds: after which a child is killed.
      keep_processes: a process is used again, for functions that keep something between their calls; a fresh one takes the place of one
        that was killed.
    """

    @checked
    def __init__(self, num_workers: Count = 2, deadline_seconds: Positive = 3600.0, keep_processes: bool = False):
        self._context = multiprocessing.get_context("forkserver")
        max_tasks = 0 if keep_processes else 1
        self._pool = pebble.ProcessPool(num_workers, max_tasks, context=self._context, initializer=end_with_parent)
        self._machine = socket.gethostname()
        self._num_workers, self._deadline = num_workers, deadline_seconds
        # Children share cores and GPU memory instead of fighting for them. What the caller has set for TensorFlow stays.
        shares = thread_environment(available_cpus() // num_workers) | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        self._environment = {name: os.environ.get(name, share) for name, share in shares.items()}
        self._running: dict[pebble.ProcessFuture, tuple[int, float]] = {}

    @property
    def free_slots(self) -> int:
        return self._num_workers - len(self._running)

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child; both must be picklable. The first function's module is what children are forked with."""
        os.environ[SEARCH_PROCESS] = str(os.getpid())
        self._context.set_forkserver_preload(["nasnet_tf.nas.engines.preload", getattr(function, "func", function).__module__])
        try:
            future = self._pool.schedule(_run, args=(self._environment, function, args), timeout=self._deadline)
        except RuntimeError as error:
            raise _server_is_gone() from error
        self._running[future] = (key, time.monotonic())

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until something ended, or for the timeout; outcomes in the order of their submission."""
        concurrent.futures.wait(self._running, timeout_seconds, concurrent.futures.FIRST_COMPLETED)
        outcomes = []
        for future in [future for future in self._running if future.done()]:
            key, began = self._running.pop(future)
            fields = _fields(future, self._deadline)
            outcomes.append(Outcome(key, time.monotonic() - began, machine=self._machine, **fields))
        return outcomes

    def cancel(self, key: int) -> None:
        for future, (running_key, _) in list(self._running.items()):
            if running_key == key:
                del self._running[future]
                future.cancel()

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()


class InProcess(Engine):
    """Children one after the other in the searching process.

    There is no deadline. A child that kills its process kills the search, which resumes when the command is repeated.

    Args:
      keep_processes: accepted as by other engines; the one process is kept in any case.
    """

    def __init__(self, keep_processes: bool = True):
        self._waiting: tuple[int, Callable[..., dict], tuple] | None = None

    @property
    def free_slots(self) -> int:
        """One child at a time."""
        return int(self._waiting is None)

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Runs function(*args) when it is polled for."""
        self._waiting = key, function, args

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Runs what was submitted; waits for nothing else."""
        if self._waiting is None:
            return []
        (key, function, args), self._waiting = self._waiting, None
        began = time.monotonic()
        fields = run_child({}, function, args)
        return [Outcome(key, time.monotonic() - began, machine=socket.gethostname(), **fields)]

    def cancel(self, key: int) -> None:
        """Forgets what was submitted under this key."""
        if self._waiting is not None and self._waiting[0] == key:
            self._waiting = None

    def close(self) -> None:
        """Forgets what was submitted."""
        self._waiting = None


def _server_is_gone() -> ChildProcessError:
    return ChildProcessError("the process that children are forked from is gone: killed, or out of memory; repeat the command to go on")


def _fields(future: "pebble.ProcessFuture", deadline: float) -> dict:
    """Of an Outcome."""
    try:
        return future.result()
    except concurrent.futures.TimeoutError:
        return {"reason": f"killed at its deadline of {deadline:g} seconds", "over_deadline": True}
    except concurrent.futures.process.BrokenProcessPool as error:
        raise _server_is_gone() from error
    except pebble.ProcessExpired as error:
        return {"reason": f"its process died (exit code {error.exitcode}): killed, or out of memory"}


def _run(environment: dict[str, str], function: Callable[..., dict], args: tuple) -> dict:
    if not gc.get_freeze_count():
        gc.freeze()  # What was loaded before the fork is no garbage: looking through it again and again took a quarter of a trace.
    return run_child(environment, function, args)


def end_with_parent() -> None:
    """From now on this process ends when its parent does, whatever it is doing then: a killed search must leave nothing running."""
    parent = os.getppid()
    _let_fork_server_end()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()
    if os.getppid() != parent or parent == 1:  # it ended before
        os._exit(1)


def _let_fork_server_end() -> None:
    """Closes this child's write end of the pipe whose end of file tells the fork server that its search has ended."""
    server = multiprocessing.forkserver._forkserver  # without a public way to it
    descriptor, server._forkserver_alive_fd = server._forkserver_alive_fd, None
    if descriptor is not None:
        os.close(descriptor)


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:  # whoever has lost its parent gets another one
        time.sleep(1.0)
    os._exit(1)
