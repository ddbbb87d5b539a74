"""The engine of several machines: children are tasks of a Ray cluster."""

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Collection

from nasnet_tf.base.errors import EngineLost, InputError
from nasnet_tf.base.values import Count, NotNegative, Positive, checked
from nasnet_tf.nas.engines import ray_cluster
from nasnet_tf.nas.engines.outcome import Outcome, thread_environment
from nasnet_tf.nas.engines.protocol import Engine

_SECONDS_BETWEEN_CHECKS = 2.0  # of the processes that a search cannot do without
_SECONDS_TO_LEAVE = 3.0  # a cluster that is gone


@dataclasses.dataclass
class _Child:
    key: int
    items: object  # the task's ray.ObjectRefGenerator: an item when it begins and one when it ends
    submitted: float
    payload: bytes
    avoided: set[str]  # nodes
    deadline: float = math.inf  # known once it has begun
    node: str = ""  # likewise


class RayTasks(Engine):
    """Child processes on the machines of a Ray cluster, each execution in a fresh one. Needs the extra [ray].

    The searching process must run on a machine of the cluster. Every machine has this package installed, with the same versions of Python,
    Ray and this package: functions travel as names of modules and are imported there. The work folder is on a disk that all machines share,
    and paths in the configuration are absolute and mean the same everywhere. Children end with the searching process, however it ends. So
    does a cluster that it started; if it was killed, the last two daemons take a minute to give up.

    Only who has the cluster's token may connect. It is in the environment, RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or in ~/.ray/auth_token,
    on all machines alike; a cluster of our own gets a fresh one. RAY_AUTH_MODE=disabled in the environment is for clusters without.

    Args:
      address: "<host>:<port>" of a cluster to join, as `ray start` prints it; "local" starts one of this machine, which listens on the
        loopback address alone.
      num_cpus: what a child takes of its machine's CPUs, 0 or more; may be a fraction. TensorFlow gets as many threads.
      num_gpus: the same of GPUs; below 1, children share a GPU and take of its memory what they need; with 0 they see none.
      num_workers: children at a time, if the cluster has room for them; None for as many as it has room for, which follows machines that
        join or leave.
      deadline_seconds: after which a child is killed, counted from its beginning: it may wait before for room that others use.
      keep_processes: as of LocalPool.

    Raises:
      InputError: no Ray, no such cluster, another token, or no machine that could take a child.
    """

    @checked
    def __init__(
        self,
        address: str = "local",
        num_cpus: NotNegative = 1.0,
        num_gpus: NotNegative = 0.0,
        num_workers: Count | None = None,
        deadline_seconds: Positive = 3600.0,
        keep_processes: bool = False,
    ):
        if num_cpus + num_gpus == 0:
            raise InputError(f"RayTasks: expected a child to take CPUs or GPUs, got num_cpus = {num_cpus} and num_gpus = {num_gpus}")
        self._needs = {"CPU": num_cpus, "GPU": num_gpus}
        self._num_workers, self._deadline = num_workers, deadline_seconds
        self._environment = thread_environment(int(num_cpus))
        if num_gpus == 0:
            self._environment["CUDA_VISIBLE_DEVICES"] = "-1"  # or each would take all memory of all GPUs that are there
        elif num_gpus < 1:
            self._environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        self._children: list[_Child] = []
        self._lifelines: ray_cluster.Lifelines | None = None
        self._quarantined: set[str] = set()  # nodes
        self._avoided: dict[int, set[str]] = {}  # nodes, by the keys of children to be submitted
        self._sigterm_handler = signal.getsignal(signal.SIGTERM)  # Ray sets one of its own, and does not take it back
        self._ray = ray_cluster.connect(address)
        # One process for each execution if none is kept: TensorFlow does not give back all memory. No retries: they are the ledger's.
        max_calls = 0 if keep_processes else 1
        self._task = self._ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0, max_calls=max_calls)(ray_cluster.task())
        context = self._ray.get_runtime_context()
        self._own_node = context.get_node_id()
        self._is_lost = False
        self._lifelines = ray_cluster.Lifelines(
            {
                "the head of the cluster": ray_cluster.split(context.gcs_address),
                "the part of the cluster that runs on this machine": self._address(self._own_node),
            }
        )
        if self._capacity() == 0:
            machines = [{name: node["Resources"].get(name, 0) for name in self._needs} for node in self._nodes()]
            self.close()
            raise InputError(f"RayTasks: a child takes {self._needs}, and no machine of the cluster has that: {machines}")

    @property
    def free_slots(self) -> int:
        """Children that could start at once. Never 0 while none runs: where all machines have left, a child waits for one to join."""
        capacity = max(1, self._capacity())
        return max(0, min(capacity, self._num_workers or capacity) - len(self._children))

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child; the function must be importable on the machines of the cluster."""
        # Read in the child, once it has said where it is: a machine without this package must be known by its name.
        payload = self._ray.cloudpickle.dumps((function, args))
        items, avoided = self._begin(payload, self._avoided.pop(key, set()))
        self._children.append(_Child(key, items, time.monotonic(), payload, avoided))

    def avoid(self, key: int, machines: Collection[str]) -> None:
        self._avoided[key] = {node for node, name in self._machines().items() if name in machines}

    def _begin(self, payload: bytes, avoided: set[str]) -> tuple[object, set[str]]:
        """Starts a child; returns what it yields, and the nodes to avoid: none of them where there are no others."""
        healthy, quarantined = self._rooms()
        avoided = avoided & healthy.keys()
        if not healthy.keys() - avoided:
            avoided = set()
        task, shunned = self._task, avoided | quarantined
        if shunned and healthy:
            task = task.options(label_selector={"ray.io/node-id": f"!in({','.join(sorted(shunned))})"})
        return task.remote(self._environment, payload), avoided

    def _begin_anywhere(self) -> None:
        """Starts children again that wait for a machine other than those they avoid, when there is none any more."""
        for child in self._children:
            if child.avoided and not child.node and not self._rooms()[0].keys() - child.avoided:
                self._ray.cancel(child.items, force=True)
                child.items, child.avoided = self._begin(child.payload, set())

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until something ended, or for the timeout."""
        end = time.monotonic() + timeout_seconds
        outcomes = []
        self._begin_anywhere()
        while self._children and not outcomes:
            now = time.monotonic()
            self._check()
            until = min(end, now + _SECONDS_BETWEEN_CHECKS, *(child.deadline for child in self._children))
            ready, _ = self._ray.wait([child.items for child in self._children], timeout=max(0.0, until - now))
            for child in list(self._children):
                if child.items in ready:
                    fields = self._next(child)
                elif child.deadline <= now:
                    self._ray.cancel(child.items, force=True)
                    fields = {"reason": f"killed at its deadline of {self._deadline:g} seconds", "over_deadline": True}
                else:
                    continue
                if fields is not None:
                    self._children.remove(child)
                    machine = self._machines().get(child.node, child.node)
                    outcomes.append(Outcome(child.key, time.monotonic() - child.submitted, machine=machine, **fields))
            if now >= end:
                break
        return outcomes

    def quarantine(self, machine: str) -> bool:
        node = {name: node for node, name in self._machines().items()}.get(machine)
        healthy, _ = self._rooms()
        if node is None or not set(healthy) - {node}:
            return False
        self._quarantined.add(node)
        return True

    def _next(self, child: _Child) -> dict | None:
        """Returns the next message from a child: fields of its Outcome if it has ended, else None."""
        try:
            said = self._ray.get(next(child.items))
        except self._ray.exceptions.RayTaskError as error:  # not of the function, for run_child catches that
            return {"reason": f"its machine could not run it: {str(error).splitlines()[-1]}"}
        except (self._ray.exceptions.NodeDiedError, self._ray.exceptions.LocalRayletDiedError):
            return self._lost()
        except self._ray.exceptions.RayError as error:
            if not self._is_there(child.node):
                return self._lost()
            first_sentence = str(error).splitlines()[0].split(". ")[0]
            return {"reason": f"its process died ({first_sentence}): killed, or out of memory"}
        if isinstance(said, dict):
            return said
        if said is None:
            child.deadline = time.monotonic() + self._deadline
        else:
            child.node = said
        return None

    def _lost(self) -> dict:
        """Returns the fields of the Outcome of a child whose machine left; raises EngineLost if that was this machine."""
        self._check(at_once=True)
        return {"reason": "its machine left the cluster", "lost": True}

    def _is_there(self, node_id: str) -> bool:
        """Whether a machine answers; the cluster itself needs half a minute to miss one."""
        address = self._address(node_id)
        return address is None or ray_cluster.is_listening(address)  # who is not known is not known to be gone

    def _address(self, node_id: str) -> tuple[str, int] | None:
        return next(((n["NodeManagerAddress"], n["NodeManagerPort"]) for n in self._all_nodes() if n["NodeID"] == node_id), None)

    def _check(self, at_once: bool = False) -> None:
        """Raises EngineLost if the cluster is gone."""
        try:
            self._lifelines.check(at_once)
        except EngineLost:
            self._is_lost = True
            raise

    def cancel(self, key: int) -> None:
        for child in [child for child in self._children if child.key == key]:
            self._children.remove(child)
            self._ray.cancel(child.items, force=True)

    def close(self) -> None:
        """Kills all children and leaves the cluster; ends it if it was started here."""
        leaving = threading.Thread(target=self._leave, daemon=True)
        leaving.start()
        leaving.join(_SECONDS_TO_LEAVE if self._is_lost else None)
        if leaving.is_alive():
            ray_cluster.forget(self._ray)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm_handler)

    def _leave(self) -> None:
        for child in list(self._children):
            self.cancel(child.key)
        self._ray.shutdown()

    def _all_nodes(self) -> list[dict]:
        if self._lifelines is not None:
            self._check()
        return self._ray.nodes()

    def _nodes(self) -> list[dict]:
        return [node for node in self._all_nodes() if node["Alive"]]

    def _machines(self) -> dict[str, str]:
        """Names for people of all nodes, by their ids; those that have left too."""
        return {node["NodeID"]: f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})" for node in self._all_nodes()}

    def _room(self, node: dict) -> int:
        """Children that a machine takes at a time."""
        needs = {name: amount for name, amount in self._needs.items() if amount > 0}
        # The small number is for quotients like 1 / 0.1, which must not come out below 10.
        return min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in needs.items())

    def _rooms(self) -> tuple[dict[str, int], set[str]]:
        """Returns the rooms of the machines that children may run on, by node, and the nodes that are quarantined."""
        rooms = {node["NodeID"]: room for node in self._nodes() if (room := self._room(node))}
        return {node: room for node, room in rooms.items() if node not in self._quarantined}, self._quarantined & rooms.keys()

    def _capacity(self) -> int:
        """Children that the machines of the cluster take at a time."""
        return sum(self._room(node) for node in self._nodes() if node.get("NodeID") not in self._quarantined)
