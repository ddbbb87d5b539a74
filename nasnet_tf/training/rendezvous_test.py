"""Tests of workers that arrive, arrive late, arrive twice, or do not arrive."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.testing import TIMEOUT_SECONDS, hold_ports
from nasnet_tf.training.rendezvous import meet


@pytest.fixture
def workers():
    """Yields three addresses with free ports."""
    sockets = hold_ports(3)
    yield [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()


def test_all_workers_continue_together_and_leave_the_port_free(workers):
    with ThreadPoolExecutor() as pool:
        for first in (2, 0):  # the first to arrive waits for the others
            order = [first, *(index for index in range(3) if index != first)]
            for result in [pool.submit(meet, workers, index, 120) for index in order]:
                result.result(timeout=TIMEOUT_SECONDS)
    socket.create_server(("", int(workers[0].split(":")[1]))).close()


def test_missing_workers_are_named(workers):
    with ThreadPoolExecutor() as pool:
        one = pool.submit(meet, workers, 1, 4)  # enough seconds for the present workers to find each other on a busy machine
        with pytest.raises(InputError, match=rf"^worker 2 \({workers[2]}\) did not arrive within 4 seconds \(make_strategy.wait_seconds\)"):
            meet(workers, 0, 4)
        with pytest.raises(InputError, match=rf"^worker 0 \({workers[0]}\) did not arrive within 4 seconds"):
            one.result(timeout=TIMEOUT_SECONDS)


def test_a_port_in_use_is_named(workers):
    with (
        socket.create_server(("127.0.0.1", int(workers[0].split(":")[1]))),
        pytest.raises(InputError, match=f"cannot listen on its address in TF_CONFIG, {workers[0]}: .*[Aa]ddress already in use"),
    ):
        meet(workers, 0, 1)


def test_it_listens_where_tf_config_says_and_nowhere_else(workers):
    port = workers[0].split(":")[1]
    with pytest.raises(InputError, match="worker 0 cannot listen on its address in TF_CONFIG, 192.0.2.1:"):
        meet([f"192.0.2.1:{port}", workers[1]], 0, 1)  # no machine has this address (RFC 5737)
    with ThreadPoolExecutor() as pool, socket.create_server(("127.0.0.2", int(port))):  # the port stays free at every other address
        results = [pool.submit(meet, workers[:2], index, 30) for index in range(2)]
        for result in results:
            result.result(timeout=60)
