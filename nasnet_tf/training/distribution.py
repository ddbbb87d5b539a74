"""Which devices train: one binding chooses. The loop is the same for all."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, WorkerLost, reason
from nasnet_tf.base.values import Positive, checked
from nasnet_tf.training.rendezvous import meet

_NAMES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


@checked
def make_strategy(name: str = "auto", tpu_address: str = "", wait_seconds: Positive = 600) -> tf.distribute.Strategy:
    """The strategy of a name.

    Args:
      name: "one_device"; "mirrored": all GPUs of this machine, or all logical devices of the CPU; "multi_worker": the machines of the
        environment variable TF_CONFIG, one process each, with all their GPUs; "tpu"; or "auto": "multi_worker" where TF_CONFIG is set,
        "mirrored" with several GPUs, else "one_device".
      tpu_address: of the TPU, as tf.distribute.cluster_resolver.TPUClusterResolver takes it.
      wait_seconds: how long the workers of "multi_worker" wait for each other at the start.

    Raises:
      InputError: an unknown name, a TPU that is not there, a TF_CONFIG that is missing or makes no sense, or workers that do not come.
    """
    if name not in _NAMES:
        raise InputError(f"make_strategy.name: expected one of {', '.join(_NAMES)}, got {name!r}")
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu_address)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, ValueError, OSError) as error:
            raise InputError(f"make_strategy.tpu_address {tpu_address!r}: no TPU there ({reason(error)})") from error
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi_worker" or (name == "auto" and "TF_CONFIG" in os.environ):
        # Before anything touches a device: TensorFlow connects the workers when it is first used, and never again.
        workers, index = _workers_and_index()
        meet(workers, index, wait_seconds)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            raise InputError(f"worker {index} ({workers[index]}) cannot join the others: {reason(error)}") from error
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return _mirrored(tuple(device.name for device in gpus or tf.config.list_logical_devices("CPU")))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One for all trainings of a process: TensorFlow takes the collectives of a second one for those of the first."""
    return tf.distribute.MirroredStrategy(devices)


def _workers_and_index() -> tuple[list[str], int]:
    """The addresses of all processes of TF_CONFIG, a chief's first as TensorFlow counts them, and which of them this one is."""
    text = os.environ.get("TF_CONFIG")
    expected = (
        'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
        'with or without a "chief": ["host:port"] in the cluster'
    )
    if not text:
        raise InputError(f"TF_CONFIG is not set; {expected}")
    try:
        config = json.loads(text)
        chief, workers = config["cluster"].get("chief", []), config["cluster"].get("worker", [])
        kind, index = config["task"]["type"], int(config["task"]["index"])
        is_valid = (
            isinstance(chief, list)
            and isinstance(workers, list)
            and set(config["cluster"]) <= {"chief", "worker"}
            and len(chief) <= 1
            and all(0 < int(address.rsplit(":", 1)[1]) < 65536 for address in (*chief, *workers))
            and 0 <= index < len({"chief": chief, "worker": workers}[kind])
        )
    except (json.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise InputError(f"TF_CONFIG: {expected}, got {text}")
    return [*chief, *workers], index if kind == "chief" else len(chief) + index


def is_chief() -> bool:
    """Whether this process writes the work folder: the only one, the chief of TF_CONFIG, or worker 0 where there is none."""
    try:
        return _workers_and_index()[1] == 0
    except InputError:
        return True


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    resolver = strategy.cluster_resolver
    tasks = resolver.cluster_spec().as_dict() if resolver else {}
    return max(1, sum(len(tasks.get(kind, [])) for kind in ("chief", "worker")))


@contextlib.contextmanager
def watching_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """What TensorFlow raises inside the `with` because another worker is gone, as one WorkerLost."""
    try:
        yield
    except tf.errors.OpError as error:
        if num_workers(strategy) == 1:
            raise
        raise WorkerLost(
            f"a worker was lost ({reason(error)}); repeat the command on all workers to go on from the last checkpoint"
        ) from error


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers are here; a worker that ends while the chief still writes would take it for lost."""
    if num_workers(strategy) > 1:
        _summed(strategy, lambda: tf.constant(1.0))


def _summed(strategy: tf.distribute.Strategy, value: Callable[[], tf.Tensor]) -> np.ndarray:
    """The sum of what the replicas of all workers return."""

    @tf.function(autograph=False)
    def summed():
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(value), axis=None)

    return summed().numpy()


def check_same_start(strategy: tf.distribute.Strategy, step: int) -> None:
    """All workers must go on from one step; where they do not, they look at different folders.

    Raises:
      InputError: this worker's step is not that of the others.
    """
    if num_workers(strategy) > 1:

        def own():  # a place for each replica: whole numbers, exact however large
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.one_hot(replica, strategy.num_replicas_in_sync, tf.constant(step, tf.int64), tf.constant(0, tf.int64))

        steps = _summed(strategy, own)
        if any(steps != step):
            raise InputError(
                f"this worker goes on from step {step}, others from another, {sorted(set(steps.tolist()))}: expected all workers to see "
                "the same work folder, on a disk that they share"
            )


def distribute(
    strategy: tf.distribute.Strategy, batch_size: int, make_dataset: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.distribute.DistributedDataset:
    """Batches for all replicas, each worker preparing its own part.

    Args:
      batch_size: of all replicas together.
      make_dataset: (index, count) of a worker -> its part of each global batch.
    """
    if batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            f"TrainingConfig.batch_size: expected a multiple of the {strategy.num_replicas_in_sync} replicas "
            f"that share it, got {batch_size}"
        )

    def part(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = make_dataset((context.input_pipeline_id, context.num_input_pipelines))
        replicas = strategy.num_replicas_in_sync // context.num_input_pipelines
        return batches if replicas == 1 else batches.rebatch(batch_size // strategy.num_replicas_in_sync)

    return strategy.distribute_datasets_from_function(part)


_SAVE, _STOP = 1.0, 4096.0  # sums over up to 4,095 replicas keep apart


class Agreement:
    """Each step carries a number of each worker and returns their sum, which tells all of them after the next step what was asked for."""

    def __init__(self, strategy: tf.distribute.Strategy):
        self._is_alone = num_workers(strategy) == 1
        self._is_chief = is_chief()
        self._before: tf.Tensor | None = None
        self._was_save = False

    def request(self, stop: bool, save: bool) -> float:
        """What this worker asks for: anyone may ask to stop; to save, the chief."""
        return _STOP * stop + _SAVE * (save and self._is_chief)

    def reach(self, stop: bool, save: bool, results: tf.Tensor) -> tuple[bool, bool]:
        """(whether to stop, whether to save) now, after the steps whose numbers are float32 [steps, ...], their requests last."""
        if self._is_alone:
            return stop, save
        before, self._before = self._before, results
        requests = 0.0 if before is None else before.numpy()[-1, -1]
        # When a save was agreed upon, the steps under way had asked for the same one.
        self._was_save = requests % _STOP >= _SAVE and not self._was_save
        return requests >= _STOP, self._was_save


def make_synchronize(variables: Iterable[tf.Variable], strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """Returns a function that gives all replicas the mean of variables that each has for itself; all workers must call it.

    They travel as one tensor.
    """
    local = list(variables)
    if strategy.num_replicas_in_sync == 1 or not local:
        return lambda: None

    def replica_mean():
        flat = tf.concat([tf.reshape(variable, [-1]) for variable in local], 0)
        mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
        for variable, value in zip(local, tf.split(mean, [variable.shape.num_elements() for variable in local]), strict=True):
            variable.assign(tf.reshape(value, variable.shape))

    @tf.function(autograph=False)
    def synchronize():
        strategy.run(replica_mean)

    return synchronize
