"""Lets the workers of a training wait for each other before TensorFlow does.

TensorFlow would wait for an hour, ignore signals and not say which workers are missing.
"""

import contextlib
import socket
import time
from collections.abc import Sequence

from nasnet_tf.base.errors import InputError

_HINT = "run the same command on all workers in TF_CONFIG, each with its own index"
_GO = b"go"


def meet(workers: Sequence[str], index: int, wait_seconds: float) -> None:
    """Waits until all workers have arrived. Their ports are free again afterwards.

    Args:
      workers: addresses of all workers, "host:port". All others connect to the first one.
      index: index of this process in `workers`.
      wait_seconds: how long to wait, from this call.

    Raises:
      InputError: workers did not arrive in time, and the message names them; or the first worker cannot use its address.
    """
    deadline = time.monotonic() + wait_seconds
    missing = _await_others(workers, deadline) if index == 0 else _join_first(workers[0], index, deadline)
    if missing:
        names = ", ".join(f"worker {number} ({workers[number]})" for number in missing)
        raise InputError(f"{names} did not arrive within {wait_seconds} seconds (make_strategy.wait_seconds); {_HINT}")


def _await_others(workers: Sequence[str], deadline: float) -> list[int]:
    missing = set(range(1, len(workers)))
    with contextlib.ExitStack() as stack:
        try:
            family, *_, address = socket.getaddrinfo(*_host_and_port(workers[0]), type=socket.SOCK_STREAM)[0]
            listener = stack.enter_context(socket.create_server(address[:2], family=family))
        except OSError as error:
            raise InputError(f"worker 0 cannot listen on its address in TF_CONFIG, {workers[0]}: {error.strerror}") from error
        connections = {}
        while missing:
            listener.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                connection = stack.enter_context(listener.accept()[0])
                connection.settimeout(5.0)
                number = int(connection.recv(16))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    return sorted(missing)
            except (OSError, ValueError):
                continue  # the connection did not come from a worker
            else:
                connections[number] = connection
                missing.discard(number)
        for connection in connections.values():
            with contextlib.suppress(OSError):
                connection.sendall(_GO)
                connection.recv(1)  # waits until the worker closes: the side that closes first keeps its port busy for a minute
    return []


def _join_first(address: str, index: int, deadline: float) -> list[int]:
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection(_host_and_port(address), timeout=left) as connection:
            connection.sendall(f"{index}\n".encode())
            if connection.recv(len(_GO)) == _GO:
                return []
        time.sleep(0.2)
    return [0]


def _host_and_port(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)
