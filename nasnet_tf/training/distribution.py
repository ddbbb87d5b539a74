"""Which devices train: one binding chooses. The loop is the same for all."""

import json
import os
from collections.abc import Callable

import tensorflow as tf

from nasnet_tf.errors import InputError


class WorkerLost(ConnectionError):
    """Another process of a training with several workers is gone, and this one cannot go on without it."""


_NAMES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str = "auto", tpu_address: str = "") -> tf.distribute.Strategy:
    """The strategy of a name.

    Args:
      name: "one_device"; "mirrored": all GPUs of this machine, or all logical devices of the CPU; "multi_worker": the machines of the
        environment variable TF_CONFIG, one process each, with all their GPUs; "tpu"; or "auto": "multi_worker" where TF_CONFIG is set,
        "mirrored" with several GPUs, else "one_device".
      tpu_address: of the TPU, as tf.distribute.cluster_resolver.TPUClusterResolver takes it.

    Raises:
      InputError: an unknown name, or a TF_CONFIG that is missing or makes no sense.
    """
    if name not in _NAMES:
        raise InputError(f"make_strategy.name: expected one of {', '.join(_NAMES)}, got {name!r}")
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu_address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi_worker" or (name == "auto" and "TF_CONFIG" in os.environ):
        # Before anything touches a device: TensorFlow connects the workers when it is first used, and never again.
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG")
    expected = 'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    if not text:
        raise InputError(f"TF_CONFIG is not set; {expected}")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        is_valid = isinstance(workers, list) and task["type"] == "worker" and 0 <= int(task["index"]) < len(workers)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise InputError(f"TF_CONFIG: {expected}, got {text}")


def is_chief() -> bool:
    """Whether this process writes the work folder: the only one, or worker 0 of TF_CONFIG."""
    try:
        return int(json.loads(os.environ["TF_CONFIG"])["task"]["index"]) == 0
    except (KeyError, TypeError, ValueError):
        return True


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    resolver = strategy.cluster_resolver
    return max(1, len(resolver.cluster_spec().as_dict().get("worker", []))) if resolver else 1


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers are here; a worker that ends while the chief still writes would take it for lost."""
    if num_workers(strategy) > 1:
        count = tf.function(lambda: strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(1.0)), axis=None))
        count().numpy()


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
