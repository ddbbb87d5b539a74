"""Tests of RayTasks without a cluster."""

import sys
import types

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.engines import ray_tasks
from nasnet_tf.nas.engines.ray_tasks import RayTasks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"address": "auto"}, "expected 'local' or '<host>:<port>', got 'auto'"),
        ({"address": "ray://somewhere:1"}, "expected 'local' or '<host>:<port>', got 'ray://somewhere:1'"),
        ({"address": "127.0.0.1:1"}, "no cluster at 127.0.0.1:1: .*refused"),
        ({"num_cpus": 0}, "expected num_cpus or num_gpus to be positive"),
        ({"num_gpus": -1}, "RayTasks.num_gpus: expected a number of 0 or more, got -1"),
        ({"num_workers": 0}, "RayTasks.num_workers: expected an integer of 1 or more, or None, got 0"),
        ({"deadline_seconds": 0}, "RayTasks.deadline_seconds: expected a positive number, got 0"),
    ],
)
def test_wrong_arguments_are_refused(monkeypatch, arguments, message):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(InputError, match=message):
        RayTasks(**arguments)


def test_a_missing_ray_is_reported_with_its_extra(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("nasnet_tf.nas.engines.ray_cluster.check_listens", lambda address: None)
    with pytest.raises(InputError, match=r"install the extra \[ray\]"):
        RayTasks("127.0.0.1:1")


def test_children_that_have_ended_in_time_are_not_killed(monkeypatch):
    """Both results wait when the deadline passes, because the search was busy with other results."""

    class Ray:
        exceptions = types.SimpleNamespace(RayTaskError=KeyError, NodeDiedError=KeyError, LocalRayletDiedError=KeyError, RayError=KeyError)
        cancelled = []

        def wait(self, items, num_returns=1, timeout=None):
            return items[:num_returns], items[num_returns:]

        def get(self, message):
            return message

        def cancel(self, items, force):
            self.cancelled.append(items)

    engine = RayTasks.__new__(RayTasks)
    engine._ray, engine._deadline, engine._avoided = Ray(), 1.0, {}
    engine._children = [ray_tasks._Child(key, iter([{"value": {"reward": key}}]), 0.0, b"", set(), deadline=0.0) for key in range(3)]
    for name, answer in (("_begin_anywhere", None), ("_check", None), ("_machines", {})):
        monkeypatch.setattr(engine, name, lambda answer=answer: answer, raising=False)
    outcomes = engine.poll(0.0)
    assert [(outcome.key, outcome.value) for outcome in outcomes] == [(key, {"reward": key}) for key in range(3)]
    assert not any(outcome.over_deadline for outcome in outcomes)
    assert Ray.cancelled == []
