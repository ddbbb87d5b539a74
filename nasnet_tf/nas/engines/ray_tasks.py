"""The engine for several machines: children run as tasks of a Ray cluster."""

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

_SECONDS_BETWEEN_CHECKS = 2.0  # how often the cluster's processes are checked while waiting for children
_SECONDS_TO_LEAVE = 3.0  # longest wait for Ray to shut down when the cluster is gone


@dataclasses.dataclass
class _Child:
    key: int
    items: object  # ray.ObjectRefGenerator of the task's messages; see `ray_cluster.task`
    submitted: float
    payload: bytes
    avoided: set[str]  # ids of nodes that it should not run on
    deadline: float = math.inf  # set when the child begins
    node: str = ""  # id of its node, set when the child begins


class RayTasks(Engine):
    """Runs children in processes on the machines of a Ray cluster, each in a new one unless `keep_processes` is set.

    It needs the extra [ray].

    The searching process must run on a machine of the cluster. All machines need the same versions of Python, Ray and this package, because
    functions are sent as names of modules and imported there. The work folder must be on a disk that all machines share. Paths in the
    configuration must be absolute and valid on every machine. Children end with the searching process, however it ends. So does a cluster
    that it started; if the search was killed, the last two daemons of that cluster take a minute to end.

    The cluster's token is needed to connect. It is read from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH in the environment, or from
    ~/.ray/auth_token, and must be the same on all machines. A cluster that the search starts gets a new token. For a cluster without a
    token, set RAY_AUTH_MODE=disabled in the environment.

    Args:
      address: "<host>:<port>" of a cluster to join, as `ray start` prints it; "local" starts a cluster on this machine, which listens only
        on the loopback address.
      num_cpus: number of CPUs for each child, 0 or more; may be a fraction. TensorFlow uses this many threads, at least one.
      num_gpus: number of GPUs for each child, 0 or more. Below 1, children share a GPU and allocate its memory as they need it. With 0 they
        see no GPU.
      num_workers: maximum number of children at a time; None for as many as the cluster has room for, even as machines join or leave.
      deadline_seconds: a child is killed after this time, counted from when it begins, not from when it is submitted.
      keep_processes: whether processes are reused; see `LocalPool`.

    Raises:
      InputError: num_cpus and num_gpus are both 0, Ray is not installed, the cluster does not exist or has another token, or no machine has
        room for a child.
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
            raise InputError(f"RayTasks: expected num_cpus or num_gpus to be positive, got num_cpus = {num_cpus} and num_gpus = {num_gpus}")
        self._needs = {"CPU": num_cpus, "GPU": num_gpus}
        self._num_workers, self._deadline = num_workers, deadline_seconds
        self._environment = thread_environment(int(num_cpus))
        if num_gpus == 0:
            self._environment["CUDA_VISIBLE_DEVICES"] = "-1"  # otherwise each child would allocate all memory of all GPUs of its machine
        elif num_gpus < 1:
            self._environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        self._children: list[_Child] = []
        self._lifelines: ray_cluster.Lifelines | None = None
        self._quarantined: set[str] = set()  # ids of nodes
        self._avoided: dict[int, set[str]] = {}  # ids of nodes that the next child of each key should avoid
        self._sigterm_handler = signal.getsignal(signal.SIGTERM)  # Ray replaces it and does not restore it
        self._ray = ray_cluster.connect(address)
        # Without keep_processes each execution gets a new process, because TensorFlow does not free all memory. Ray does not retry: the
        # ledger does.
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
            machines = "; ".join(_resources(node["Resources"]) for node in self._nodes())
            self.close()
            raise InputError(f"RayTasks: expected a machine with {_resources(self._needs)} for each child, got machines with {machines}")

    @property
    def free_slots(self) -> int:
        """Number of children that could start now; at least 1 while none runs, so that a child can wait for a machine to join."""
        capacity = max(1, self._capacity())
        return max(0, min(capacity, self._num_workers or capacity) - len(self._children))

    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child; the function must be importable on the machines of the cluster."""
        # The child loads this payload after it has sent its node id, so that a machine without this package can be named in the error.
        payload = self._ray.cloudpickle.dumps((function, args))
        items, avoided = self._begin(payload, self._avoided.pop(key, set()))
        self._children.append(_Child(key, items, time.monotonic(), payload, avoided))

    def avoid(self, key: int, machines: Collection[str]) -> None:
        self._avoided[key] = {node for node, name in self._machines().items() if name in machines}

    def _begin(self, payload: bytes, avoided: set[str]) -> tuple[object, set[str]]:
        """Starts a child; returns its generator of messages and the nodes that it avoids, which are none if there are no others."""
        healthy, quarantined = self._rooms()
        avoided = avoided & healthy.keys()
        if not healthy.keys() - avoided:
            avoided = set()
        task, shunned = self._task, avoided | quarantined
        if shunned and healthy:
            task = task.options(label_selector={"ray.io/node-id": f"!in({','.join(sorted(shunned))})"})
        return task.remote(self._environment, payload), avoided

    def _begin_anywhere(self) -> None:
        """Restarts, without restriction, waiting children for which only the machines that they avoid are left."""
        for child in self._children:
            if child.avoided and not child.node and not self._rooms()[0].keys() - child.avoided:
                self._ray.cancel(child.items, force=True)
                child.items, child.avoided = self._begin(child.payload, set())

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until a child ends or the timeout passes; see `Engine.poll`."""
        end = time.monotonic() + timeout_seconds
        outcomes = []
        self._begin_anywhere()
        while self._children and not outcomes:
            now = time.monotonic()
            self._check()
            until = min(end, now + _SECONDS_BETWEEN_CHECKS, *(child.deadline for child in self._children))
            items = [child.items for child in self._children]
            self._ray.wait(items, timeout=max(0.0, until - now))  # until the first has a message
            ready, _ = self._ray.wait(items, num_returns=len(items), timeout=0)  # all that have one
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
        except self._ray.exceptions.RayTaskError as error:  # not raised by the child's function: run_apart catches such errors
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
        """Returns the fields of the Outcome of a child whose machine left the cluster; raises EngineLost if the cluster itself is gone."""
        self._check(at_once=True)
        return {"reason": "its machine left the cluster", "lost": True}

    def _is_there(self, node_id: str) -> bool:
        """Returns whether a machine answers. Ray itself takes half a minute to notice that a machine is gone.

        A machine with an unknown address counts as present.
        """
        address = self._address(node_id)
        return address is None or ray_cluster.is_listening(address)

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
        """Kills all children and leaves the cluster; ends the cluster if this engine started it."""
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
        """Returns readable names of all nodes by their ids, including nodes that have left."""
        return {node["NodeID"]: f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})" for node in self._all_nodes()}

    def _room(self, node: dict) -> int:
        """Returns how many children can run on a machine at a time."""
        needs = {name: amount for name, amount in self._needs.items() if amount > 0}
        # The small number corrects rounding, so that a quotient such as 1 / 0.1 is not truncated to 9.
        return min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in needs.items())

    def _rooms(self) -> tuple[dict[str, int], set[str]]:
        """Returns how many children each usable node can run, by node id, and the ids of the quarantined nodes."""
        rooms = {node["NodeID"]: room for node in self._nodes() if (room := self._room(node))}
        return {node: room for node, room in rooms.items() if node not in self._quarantined}, self._quarantined & rooms.keys()

    def _capacity(self) -> int:
        """Returns how many children can run on the cluster at a time."""
        return sum(self._room(node) for node in self._nodes() if node.get("NodeID") not in self._quarantined)


def _resources(found: dict[str, float]) -> str:
    return " and ".join(f"{found.get(name, 0):g} {name}s" for name in ("CPU", "GPU"))
