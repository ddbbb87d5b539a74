"""To be imported, for its effects alone, before anything else by a process that others are forked from: TensorFlow, loaded without remarks.

It must not be used there: its threads, and what it knows of GPUs, do not survive a fork.

Loading takes long, and a fork server that loads does not look at the pipe that tells it of the end of its search; nor would it see the end,
for a request for a child that waits in its socket holds the other end of that pipe. An alarm looks for another parent, every second: a
signal needs no thread, and processes that are forked later do not inherit it.
"""

import multiprocessing.forkserver
import os
import select
import signal
import sys

from nasnet_tf.base.terminal import quiet
from nasnet_tf.nas.engines import SEARCH_PROCESS

_SECONDS = 1.0


def _alive_pipe() -> int | None:
    """The descriptor that is at its end when the search has ended; None where this process is no fork server."""
    frame = sys._getframe()
    while frame is not None and frame.f_code is not multiprocessing.forkserver.main.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals["alive_r"]


def _watch(pipe: int, server: int, search: int) -> None:
    def look(*_) -> None:
        if os.getpid() == server and (os.getppid() != search or select.select([pipe], [], [], 0)[0]):
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS, _SECONDS)


_pipe = _alive_pipe()
if _pipe is not None:
    _watch(_pipe, os.getpid(), int(os.environ.get(SEARCH_PROCESS, os.getppid())))

with quiet():
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
