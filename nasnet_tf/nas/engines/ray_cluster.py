"""Joins or starts a Ray cluster, defines the task that runs a child there, and checks that the cluster is alive."""

import atexit
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping

from nasnet_tf.base.errors import EngineLost, InputError

_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 * 2**20  # for a cluster that we start; close to Ray's minimum, because outcomes are small
_PATIENCE_SECONDS = 5.0  # how long a process of the cluster may fail to answer before it counts as gone
_CHECK_SECONDS = 1.0  # minimum time between two checks


class Lifelines:
    """Checks that the cluster processes on which a search depends still listen on their ports.

    Call `check` before any call into Ray. If the head node is gone, Ray waits a minute and then ends the process. If the daemon of this
    machine is gone, Ray does not notice it while children only sleep.

    Args:
      addresses: (host, port) of each process, keyed by its name in messages.
    """

    def __init__(self, addresses: Mapping[str, tuple[str, int]]):
        self._addresses = addresses
        self._checked = time.monotonic()

    def check(self, at_once: bool = False) -> None:
        """Raises EngineLost if one of the processes is gone.

        Args:
          at_once: whether to check even if the last check was less than a second ago.
        """
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
    """Returns whether a process accepts a connection at `address` within `seconds`."""
    try:
        socket.create_connection(address, seconds).close()
    except OSError:
        return False
    return True


def split(address: str) -> tuple[str, int]:
    """Splits "host:port" into (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def task() -> Callable:
    """Returns the function that runs as a Ray task: a generator of three messages from the child.

    The messages are the id of the node; None once the child's function is loaded; and the fields of its `Outcome`. If loading fails, the
    fields of the `Outcome` are the second message, and there is no third. The task is a nested function, so that Ray sends its code and not
    the name of its module. Therefore it runs even on a machine that lacks this package, and can report the error.
    """

    def child(environment, payload):
        import ray

        yield ray.get_runtime_context().get_node_id()
        try:
            from nasnet_tf.nas.engines.outcome import run_apart

            function, args = ray.cloudpickle.loads(payload)
        except Exception as error:
            yield {"reason": f"its machine could not run it: {type(error).__name__}: {error}"}
        else:
            yield None
            yield run_apart(environment, function, args)

    return child


def connect(address: str):
    """Imports ray, joins or starts a cluster, and returns the module.

    Args:
      address: "<host>:<port>" of a cluster, or "local" to start one.

    Raises:
      InputError: Ray is not installed or was imported too early, or the cluster cannot be joined or started.
    """
    if "ray" in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        raise InputError("RayTasks: ray was imported without RAY_AUTH_MODE=token in the environment; set this variable before the import")
    # Ray reads these environment variables when it is imported.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # the handler would print a C++ stack trace for every SIGTERM
    options = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # With "0" the daemons listen only on 127.0.0.1, on every system. Without it they listen on all addresses, even if told 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        check_listens(address)
        # Attempts to connect, one second each. The default of 20 is meant for starting a cluster.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "3")
    hook = sys.excepthook
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f'RayTasks: {error}; install the extra [ray], as in pip install "nasnet_tf[ray]"') from error
    sys.excepthook = hook  # Ray's hook reports errors to the cluster, and waits a minute if the head node is gone
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError, plain Exception, ...
        ray.shutdown()
        what = "start a cluster" if address == "local" else f"join the cluster at {address}"
        raise InputError(f"RayTasks: could not {what}: {_cause(error)}") from error
    # This function of Ray prints the last output of its daemons, hundreds of lines of state, into the output of the search. Errors of a
    # child are not lost: they are part of its outcome.
    ray._private.worker.print_to_stdstream = _print_nothing
    return ray


def _print_nothing(*_, **__) -> None:
    pass


def forget(ray) -> None:
    """Unregisters Ray's shutdown at exit, which would wait a minute for the head node of a cluster that is gone."""
    atexit.unregister(ray.shutdown)


def check_listens(address: str) -> None:
    """Raises InputError if nothing listens at `address`; Ray itself would take minutes to report that."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise InputError(f"RayTasks.address: expected 'local' or '<host>:<port>', got {address!r}")
    try:
        socket.create_connection(split(address), _CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(f"RayTasks.address: no cluster at {address}: {error}") from error


def _cause(error: BaseException) -> str:
    """Returns the last line of the message of the exception at the root of the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
