"""Loads TensorFlow, without its log messages, into the fork server. Import this module first in that process, only for its side effects.

The fork server must not use TensorFlow, only load it: TensorFlow's threads and its view of the GPUs do not survive a fork.

Loading takes long. Meanwhile the fork server does not read the pipe that tells it that its search has ended. It might not see the end of
the pipe anyway, because a request for a child that waits in its socket holds the other end open. An alarm therefore checks every second
whether the pipe is closed or the parent process has changed. A signal needs no thread, and processes that are forked later do not inherit
the alarm.
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
    """Returns the file descriptor of the pipe that closes when the search ends; None if this process is not a fork server."""
    frame = sys._getframe()
    while frame is not None and frame.f_code is not multiprocessing.forkserver.main.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals["alive_r"]


def _watch(pipe: int, server: int, search: int) -> None:
    """Ends this process, with process id `server`, once the pipe is closed or its parent is no longer `search`."""

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
