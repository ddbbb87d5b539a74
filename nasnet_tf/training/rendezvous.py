"""The workers of a training meet before TensorFlow looks for them: it would wait for an hour, deaf to signals, and name nobody."""

import contextlib
import socket
import time
from collections.abc import Sequence

from nasnet_tf.base.errors import InputError

_HINT = "expected the same command on all workers of TF_CONFIG, each with its index"
_GO = b"go"


def meet(workers: Sequence[str], index: int, wait_seconds: float) -> None:
    """Returns when all workers are there; their ports are free again then.

    Args:
      workers: their addresses, "host:port"; the others come to the first one's.
      index: which of them this process is.
      wait_seconds: from this call.

    Raises:
      InputError: not all of them were there in time; the message names those missing.
    """
    deadline = time.monotonic() + wait_seconds
    missing = _await_others(workers, deadline) if index == 0 else _join_first(workers[0], index, deadline)
    if missing:
        names = ", ".join(f"worker {number} ({workers[number]})" for number in missing)
        raise InputError(f"{names} did not come within {wait_seconds} seconds (make_strategy.wait_seconds); {_HINT}")


def _await_others(workers: Sequence[str], deadline: float) -> list[int]:
    missing = set(range(1, len(workers)))
    with contextlib.ExitStack() as stack:
        try:
            family, *_, address = socket.getaddrinfo(*_host_and_port(workers[0]), type=socket.SOCK_STREAM)[0]
            listener = stack.enter_context(socket.create_server(address[:2], family=family))
        except OSError as error:
            raise InputError(f"worker 0 cannot listen on its address of TF_CONFIG, {workers[0]}: {error.strerror}") from error
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
                continue  # a stranger
            else:
                connections[number] = connection
                missing.discard(number)
        for connection in connections.values():
            with contextlib.suppress(OSError):
                connection.sendall(_GO)
                connection.recv(1)  # the end: whoever closes first keeps the port busy for a minute
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
