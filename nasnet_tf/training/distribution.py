"""Distribution strategies: one binding selects the devices that train. The training loop is the same for all of them."""

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
    """Returns the distribution strategy with a name.

    Args:
      name: "one_device"; "mirrored" for all GPUs of this machine, or all logical CPU devices if it has no GPU; "multi_worker" for the
        machines in the environment variable TF_CONFIG, with one process each and all their GPUs; "tpu"; or "auto": "multi_worker" if
        TF_CONFIG is set, "mirrored" if there are several GPUs, else "one_device".
      tpu_address: address of the TPU, as tf.distribute.cluster_resolver.TPUClusterResolver takes it.
      wait_seconds: how long the workers of "multi_worker" wait for each other at the start.

    Raises:
      InputError: the name is unknown, the TPU cannot be reached, TF_CONFIG is missing or invalid, or a worker does not arrive in time.
    """
    if name not in _NAMES:
        raise InputError(f"make_strategy.name: expected one of {', '.join(_NAMES)}, got {name!r}")
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu_address)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, ValueError, OSError) as error:
            raise InputError(f"make_strategy.tpu_address: expected the address of a TPU, got {tpu_address!r} ({reason(error)})") from error
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi_worker" or (name == "auto" and "TF_CONFIG" in os.environ):
        # This comes before any use of a device, because TensorFlow connects the workers only when it is first used.
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
    """Returns the one strategy of this process for these devices. With a second one, TensorFlow would mix up the collectives of both."""
    return tf.distribute.MirroredStrategy(devices)


def _workers_and_index() -> tuple[list[str], int]:
    """Returns the addresses of all processes in TF_CONFIG, and the index of this process.

    A chief comes first, as in TensorFlow's own numbering.

    Raises:
      InputError: TF_CONFIG is not set or invalid.
    """
    text = os.environ.get("TF_CONFIG")
    expected = (
        'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
        'with or without a "chief": ["host:port"] in the cluster'
    )
    if not text:
        raise InputError(f"the environment variable TF_CONFIG is not set; {expected}")
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
    """Returns whether this process writes the work folder: it is the only one, the chief in TF_CONFIG, or worker 0 if there is no chief."""
    try:
        return _workers_and_index()[1] == 0
    except InputError:
        return True


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that train together."""
    resolver = strategy.cluster_resolver
    tasks = resolver.cluster_spec().as_dict() if resolver else {}
    return max(1, sum(len(tasks.get(kind, [])) for kind in ("chief", "worker")))


@contextlib.contextmanager
def watching_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's errors inside the `with` into WorkerLost, if there are several workers."""
    try:
        yield
    except tf.errors.OpError as error:
        if num_workers(strategy) == 1:
            raise
        raise WorkerLost(
            f"a worker was lost ({reason(error)}); repeat the command on all workers to resume from the last checkpoint"
        ) from error


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers have reached this call. A process that ended earlier would look lost to those that still work."""
    if num_workers(strategy) > 1:
        _summed(strategy, lambda: tf.constant(1.0))


def _summed(strategy: tf.distribute.Strategy, value: Callable[[], tf.Tensor]) -> np.ndarray:
    """Returns the sum of the results of `value` over the replicas of all workers."""

    @tf.function(autograph=False)
    def summed():
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(value), axis=None)

    return summed().numpy()


def check_same_start(strategy: tf.distribute.Strategy, step: int) -> None:
    """Checks that all workers resume from the same step. If they do not, they see different work folders.

    Args:
      strategy: strategy of the training.
      step: the step that this worker resumes from.

    Raises:
      InputError: another worker resumes from another step.
    """
    if num_workers(strategy) > 1:

        def own():  # a vector with an entry for each replica, so that the sum shows all steps; integers are exact however large
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.one_hot(replica, strategy.num_replicas_in_sync, tf.constant(step, tf.int64), tf.constant(0, tf.int64))

        steps = _summed(strategy, own)
        if any(steps != step):
            raise InputError(
                f"this worker resumes from step {step}, but the steps of all workers are {sorted(set(steps.tolist()))}; expected all "
                "workers to use the same work folder on a shared disk"
            )


def distribute(
    strategy: tf.distribute.Strategy, batch_size: int, make_dataset: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.distribute.DistributedDataset:
    """Returns batches for all replicas. Each worker prepares only its own part.

    Args:
      strategy: strategy of the training.
      batch_size: number of examples in a global batch, over all replicas.
      make_dataset: function from (index, count) of a worker to the dataset of its part of each global batch.

    Raises:
      InputError: batch_size is not a multiple of the number of replicas.
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


_SAVE, _STOP = 1.0, 4096.0  # summed over up to 4,095 replicas, the two stay distinguishable


class Agreement:
    """Lets all workers save and stop after the same step.

    Each worker encodes its requests in a number, and each step returns the sum over all replicas. Workers read the sum one call later, so
    that Python does not wait for the call under way.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._is_alone = num_workers(strategy) == 1
        self._is_chief = is_chief()
        self._before: tf.Tensor | None = None
        self._was_save = False

    def request(self, stop: bool, save: bool) -> float:
        """Returns the number for this worker's request. Every worker may request to stop, but only the chief to save."""
        return _STOP * stop + _SAVE * (save and self._is_chief)

    def reach(self, stop: bool, save: bool, results: tf.Tensor) -> tuple[bool, bool]:
        """Returns (whether to stop, whether to save) after a call.

        Args:
          stop: whether this worker wants to stop.
          save: whether this worker wants to save.
          results: results of the call's steps, float32 [steps, ...], with the sum of all requests in the last column.
        """
        if self._is_alone:
            return stop, save
        before, self._before = self._before, results
        requests = 0.0 if before is None else before.numpy()[-1, -1]
        # After the workers agree on a save, the call that is under way still carries the request for the same save.
        self._was_save = requests % _STOP >= _SAVE and not self._was_save
        return requests >= _STOP, self._was_save


def make_synchronize(variables: Iterable[tf.Variable], strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """Returns a function that replaces the values of per-replica variables by their mean over all replicas. All workers must call it.

    The values are sent as one tensor.
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
