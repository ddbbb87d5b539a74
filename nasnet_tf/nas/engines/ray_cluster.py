"""A Ray cluster: joining or starting one, what runs there, and whether it is still there."""

import atexit
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping

from nasnet_tf.base.errors import EngineLost, InputError

_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 * 2**20  # of a cluster of our own; near the least Ray takes, for outcomes are small
_PATIENCE_SECONDS = 5.0  # with a process of the cluster that does not answer
_CHECK_SECONDS = 1.0


class Lifelines:
    """Whether the processes that a search cannot do without still listen.

    Look before Ray is asked anything: it waits a minute for a head that is gone and then ends the process, and it never misses the daemon
    of this machine while children sleep.

    Args:
      addresses: (host, port) of each process, by what it is called in the message.
    """

    def __init__(self, addresses: Mapping[str, tuple[str, int]]):
        self._addresses = addresses
        self._checked = time.monotonic()

    def check(self, at_once: bool = False) -> None:
        """Raises EngineLost if one of them is gone; looks once a second at most, unless `at_once`."""
        if not at_once and time.monotonic() - self._checked < _CHECK_SECONDS:
            return
        for what, address in self._addresses.items():
            end = time.monotonic() + _PATIENCE_SECONDS
            while not is_listening(address, _PATIENCE_SECONDS):
                if time.monotonic() > end:
                    raise EngineLost(f"RayTasks: {what} has ended")
                time.sleep(0.5)
        self._checked = time.monotonic()


def is_listening(address: tuple[str, int], seconds: float = _CONNECT_SECONDS) -> bool:
    """Whether a process answers within some seconds."""
    try:
        socket.create_connection(address, seconds).close()
    except OSError:
        return False
    return True


def split(address: str) -> tuple[str, int]:
    """ "host:port" as (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def task() -> Callable:
    """The task: tells on which node it is, that it has begun, then what came of it. Made in a function, it travels as a whole."""

    def child(environment, payload):
        import ray

        yield ray.get_runtime_context().get_node_id()
        try:
            from nasnet_tf.nas.engines.outcome import run_child

            function, args = ray.cloudpickle.loads(payload)
        except Exception as error:
            yield {"reason": f"its machine could not run it: {type(error).__name__}: {error}"}
        else:
            yield None
            yield run_child(environment, function, args)

    return child


def connect(address: str):
    """The module ray, connected to a cluster."""
    if "ray" in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        raise InputError("RayTasks: ray was imported before; set RAY_AUTH_MODE=token in the environment before that, for it is read then")
    # Ray reads all of these when it is imported.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # which would print a stack of C++ for every SIGTERM
    options = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # With this the daemons listen on 127.0.0.1 alone, on every system; otherwise on all addresses, even if told 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        check_listens(address)
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "3")  # attempts to connect, a second each; the default of 20 is for starting
    hook = sys.excepthook
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f'RayTasks: {error}; install the extra [ray], as in pip install "nasnet_tf[ray]"') from error
    sys.excepthook = hook  # Ray's own tells the cluster of an error, and waits a minute for a head that is gone
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError, plain Exception, ...
        ray.shutdown()
        what = "start a cluster" if address == "local" else f"join the cluster at {address}"
        raise InputError(f"RayTasks: could not {what}: {_cause(error)}") from error
    # It prints what daemons have to say at their end, with hundreds of lines of their state, into the output of the search. What concerns a
    # child comes back with it.
    ray._private.worker.print_to_stdstream = _print_nothing
    return ray


def _print_nothing(*_, **__) -> None:
    pass


def forget(ray) -> None:
    """Leaves a cluster that is gone to itself: at the end of the process Ray would wait a minute for its head."""
    atexit.unregister(ray.shutdown)


def check_listens(address: str) -> None:
    """Raises InputError where nothing listens, which Ray itself takes minutes to say."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise InputError(f"RayTasks.address: expected 'local' or '<host>:<port>', got {address!r}")
    try:
        socket.create_connection(split(address), _CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(f"RayTasks.address: no cluster at {address}: {error}") from error


def _cause(error: BaseException) -> str:
    """The last line of what was behind it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
