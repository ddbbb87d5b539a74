"""Engines for one machine: LocalPool runs children in processes, InProcess runs them in the searching process itself."""

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
from nasnet_tf.nas.engines.outcome import Outcome, run_apart, run_child, thread_environment
from nasnet_tf.nas.engines.protocol import Engine

pebble = OnDemand("pebble")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class LocalPool(Engine):
    """Runs children in processes of this machine, each in a new one unless `keep_processes` is set.

    Children are forked from a server that has loaded TensorFlow but never used it, so each starts in a quarter of a second instead of ten.
    The searching process itself is not forked, because its controller uses TensorFlow, whose threads do not survive a fork.

    Children end with the process that created the pool, however it ends. The fork server ends when no process holds the write end of its
    pipe. Python passes that end to the children too, so they close it; otherwise the server would wait for its children, and they for it.
    When the server has ended, the kernel kills its children on Linux, and a thread in each child ends it on other systems.

    If there are GPUs, all children share the first one. RayTasks can give each child a GPU or a fraction of one.

    Args:
      num_workers: number of children at a time. Each uses its share of the cores as threads, unless TF_NUM_INTRAOP_THREADS and
        TF_NUM_INTEROP_THREADS in the environment set the numbers.
      deadline_seconds: a child is killed after this time.
      keep_processes: whether processes are reused, for functions that keep something between calls. A process that was killed is replaced.
    """

    @checked
    def __init__(self, num_workers: Count = 2, deadline_seconds: Positive = 3600.0, keep_processes: bool = False):
        self._context = multiprocessing.get_context("forkserver")
        max_tasks = 0 if keep_processes else 1
        self._pool = pebble.ProcessPool(num_workers, max_tasks, context=self._context, initializer=end_with_parent)
        self._machine = socket.gethostname()
        self._num_workers, self._deadline = num_workers, deadline_seconds
        # Divides the cores among the children and lets them share GPU memory. Variables that are already set keep their values.
        shares = thread_environment(available_cpus() // num_workers) | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        self._environment = {name: os.environ.get(name, share) for name, share in shares.items()}
        self._running: dict[pebble.ProcessFuture, tuple[int, float]] = {}

    @property
    def free_slots(self) -> int:
        return self._num_workers - len(self._running)

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child; see `Engine.submit`. The fork server preloads the module of the first function."""
        os.environ[SEARCH_PROCESS] = str(os.getpid())
        self._context.set_forkserver_preload(["nasnet_tf.nas.engines.preload", getattr(function, "func", function).__module__])
        try:
            future = self._pool.schedule(_run, args=(self._environment, function, args), timeout=self._deadline)
        except RuntimeError as error:
            raise _server_is_gone() from error
        self._running[future] = (key, time.monotonic())

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until a child ends or the timeout passes; returns outcomes in the order of their submission."""
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
    """Runs children one after the other in the searching process.

    There is no deadline. If a child crashes the process, the search ends too; repeat the command to resume it.

    Args:
      keep_processes: has no effect, because there is only one process; accepted because a search with an evaluator passes it.
    """

    def __init__(self, keep_processes: bool = True):
        self._waiting: tuple[int, Callable[..., dict], tuple] | None = None

    @property
    def free_slots(self) -> int:
        """1 if no child is waiting, else 0."""
        return int(self._waiting is None)

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Stores function(*args), which the next `poll` runs."""
        self._waiting = key, function, args

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Runs the submitted child, if there is one, and returns its outcome; ignores the timeout."""
        if self._waiting is None:
            return []
        (key, function, args), self._waiting = self._waiting, None
        began = time.monotonic()
        fields = run_child({}, function, args)
        return [Outcome(key, time.monotonic() - began, machine=socket.gethostname(), **fields)]

    def cancel(self, key: int) -> None:
        """Discards the child submitted under `key`."""
        if self._waiting is not None and self._waiting[0] == key:
            self._waiting = None

    def close(self) -> None:
        """Discards the submitted child."""
        self._waiting = None


def _server_is_gone() -> ChildProcessError:
    return ChildProcessError("the process that children are forked from is gone: killed, or out of memory; repeat the command to resume")


def _fields(future: "pebble.ProcessFuture", deadline: float) -> dict:
    """Returns the fields of the Outcome of a future that is done; raises ChildProcessError if the fork server is gone."""
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
        gc.freeze()  # Exempts the objects loaded before the fork from garbage collection: scanning them took a quarter of the tracing time.
    return run_apart(environment, function, args)


def end_with_parent() -> None:
    """Makes this process end when its parent ends, whatever it is doing then, so that a killed search leaves nothing running."""
    parent = os.getppid()
    _let_fork_server_end()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()
    if os.getppid() != parent or parent == 1:  # the parent ended before this process began to watch it
        os._exit(1)


def _let_fork_server_end() -> None:
    """Closes this child's write end of the pipe, so that the fork server sees the end of file when its search has ended."""
    server = multiprocessing.forkserver._forkserver  # there is no public API for this
    descriptor, server._forkserver_alive_fd = server._forkserver_alive_fd, None
    if descriptor is not None:
        os.close(descriptor)


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:  # a process whose parent has ended gets another parent
        time.sleep(1.0)
    os._exit(1)
