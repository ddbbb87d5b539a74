"""Measures one row of tools/accelerator_check.py, in a process of its own.

A speed row builds and traces its network, prints READY, and waits for a line on standard input. Then it uses the device, for two calls that
compile and for those that are timed, and prints RESULT and JSON. All its other output goes to its log.
"""

import contextlib
import dataclasses
import functools
import json
import os
import platform
import resource
import sys
import time
import types
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.cpus import available_cpus
from nasnet_tf.base.errors import reason
from nasnet_tf.genotype import Genotype, load_genotype
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle
from nasnet_tf.models.network import NetworkConfig, build_network, inference_model
from nasnet_tf.models.zoo import find_variant
from nasnet_tf.testing import smallest_genotype
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.numerics import compiled, dtype_policy
from nasnet_tf.training.optimizers import RMSProp
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import TrainStep
from tools.bench.networks import keras_function

STEPS = 20  # training steps in a comparison
RATE = 0.01
CLASSES = 10
EXACT, HALF = 1e-3, 0.1  # largest allowed difference of two losses, as a fraction of the largest loss


@dataclasses.dataclass(frozen=True)
class Case:
    """A network to measure.

    Attributes:
      name: "mobile", "large" or "small".
      genotype, config, num_classes, image_size: arguments of `build_network`.
      batch_size: examples of a batch on each device.
      steps: number of timed calls.
    """

    name: str
    genotype: Genotype
    config: NetworkConfig
    num_classes: int
    image_size: int
    batch_size: int
    steps: int

    def ours(self) -> keras.Model:
        """Returns our network, with fresh weights."""
        return build_network(self.genotype, self.config, self.num_classes, self.image_size)

    def peer(self) -> keras.Model:
        """Returns the network of keras.applications, which has no auxiliary head. "small" only tests the code, so any network will do."""
        if self.name == "small":
            return small_network(False, self.image_size)
        build = keras.applications.NASNetLarge if self.name == "large" else keras.applications.NASNetMobile
        return build(weights=None, classifier_activation=None)


def find_case(name: str) -> Case:
    """Returns NASNet-A "mobile" or "large"; or "small": one cell in each stack, one block in each cell, 8 filters, 32 pixels."""
    variant = find_variant("mobile" if name == "small" else name)
    config = dataclasses.replace(variant.config, auxiliary_head=True)
    if name == "small":  # XLA takes minutes on a CPU for a network of NASNet-A's cells
        config = dataclasses.replace(config, cells_per_stack=1, penultimate_filters=None, filters=8)
        return Case(name, smallest_genotype(), config, CLASSES, 32, 2, 2)
    batch_size, steps = (64, 30) if name == "mobile" else (16, 20)
    return Case(name, load_genotype(variant.genotype), config, variant.num_classes, variant.image_size, batch_size, steps)


def small_network(batch_norm: bool, image_size: int = 8) -> keras.Model:
    """Returns a convolution, optionally a synchronized batch normalization, and a classifier; always with the same weights."""
    keras.utils.set_random_seed(1)
    images = keras.Input((image_size, image_size, 3))
    hidden = keras.layers.Conv2D(8, 3)(images)
    if batch_norm:
        hidden = BatchNorm(LayerStyle(0.9, 1e-3, synchronized_batch_norm=True))(hidden)
    hidden = keras.layers.Flatten()(keras.layers.ReLU()(hidden))
    return keras.Model(images, keras.layers.Dense(CLASSES, dtype="float32")(hidden))


def make_step(build: Callable[[], keras.Model], config: TrainingConfig, strategy: tf.distribute.Strategy) -> TrainStep:
    """Returns the package's training step for a fresh model."""
    with strategy.scope():
        state = TrainingState.fresh(build(), RMSProp(), config.ema_decay)
    task = Classification(types.SimpleNamespace(num_classes=CLASSES, source="random"), config)
    return TrainStep(state, task, config, strategy)


def losses(batch_norm: bool, policy: str, strategy: tf.distribute.Strategy, batch_size: int) -> np.ndarray:
    """Returns the losses of STEPS steps in this precision, on batches that do not depend on the number of devices."""
    config = TrainingConfig(epochs=1, batch_size=batch_size, weight_decay=1e-4, gradient_clip_norm=5.0, ema_decay=0.9)
    random = np.random.RandomState(0)
    labels = random.randint(0, CLASSES, [STEPS, batch_size]).astype(np.int32)
    images = random.randn(STEPS, batch_size, 8, 8, 3).astype(np.float32) + labels[..., None, None, None] / CLASSES
    with dtype_policy(policy):
        step = make_step(lambda: small_network(batch_norm), config, strategy)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).unbatch().batch(batch_size, drop_remainder=True)
        batches = iter(strategy.experimental_distribute_dataset(data))
        return np.array([step(batches, number, [RATE], [0.0], 0.0).numpy()[0, 0] for number in range(STEPS)])


def compare(ours: np.ndarray, reference: np.ndarray, limit: float) -> tuple[bool, str]:
    """Returns whether losses are finite and within the limit of the reference's, and a sentence about it."""
    difference = float(np.max(np.abs(ours - reference)) / np.max(np.abs(reference)))
    holds = bool(np.isfinite(ours).all() and difference <= limit)
    return holds, f"{'holds' if holds else 'DOES NOT HOLD'}: losses differ by {difference:.1e} of the largest, {limit:.0e} allowed"


def comparisons(one: tf.distribute.Strategy, every: tf.distribute.Strategy, is_tpu: bool) -> Iterator[tuple[bool, str]]:
    """Yields for each comparison whether it holds, and a sentence about it."""
    count = every.num_replicas_in_sync
    batch_size = count * -(-32 // count)
    exact = HALF if is_tpu else EXACT  # TPUs multiply float32 as bfloat16

    def row(what, limit, ours, reference):
        try:
            holds, result = compare(ours(), reference(), limit)
        except Exception as error:  # noqa: BLE001  devices fail in many ways
            holds, result = False, failure(error)
        return holds, f"{what}: {result}"

    tensor_float = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # GPUs would drop digits that the comparison is about
    for batch_norm, network in ((False, "no batch normalization"), (True, "synchronized batch normalization")):
        run = functools.partial(losses, batch_norm, "float32", batch_size=batch_size)
        yield row(f"1 device and {count}, {network}", exact, lambda run=run: run(every), lambda run=run: run(one))
    for policy in ("mixed_bfloat16", "mixed_float16"):
        ours = functools.partial(losses, True, policy, every, batch_size)
        yield row(f"{policy} and float32", HALF, ours, functools.partial(losses, True, "float32", every, batch_size))
    tf.config.experimental.enable_tensor_float_32_execution(tensor_float)


def failure(error: Exception) -> str:
    """Returns the text of a failed row, in one line."""
    return f"failed: {type(error).__name__}: {reason(error)[:200]}".replace("|", "/")


def random_batch(case: Case, strategy: tf.distribute.Strategy) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns random images and labels, which each device makes in its own memory."""
    shape = [case.batch_size, case.image_size, case.image_size, 3]

    def make():
        return tf.random.normal(shape), tf.random.uniform(shape[:1], 0, case.num_classes, tf.int32)

    return tf.function(lambda: strategy.run(make), autograph=False)()


# (function, function that returns its arguments for a step number)
Timed = tuple[tf.types.experimental.PolymorphicFunction, Callable[[int], tuple]]


def timed_function(case: Case, kind: str, who: str, jit_compile: bool, strategy: tf.distribute.Strategy) -> Timed:
    """Returns the function that a row times: "training" steps, or "inference" to logits, of "ours", "peer", or ours on "all" devices."""
    batch = random_batch(case, strategy)
    if who == "peer":
        model = case.peer()
        if kind == "training":
            return keras_function(model, True, jit_compile), lambda number: batch
        infer = tf.function(lambda images: model(images, training=False), autograph=False, jit_compile=jit_compile)
        return infer, lambda number: batch[:1]
    if kind == "training":
        batch_size = case.batch_size * strategy.num_replicas_in_sync
        config = TrainingConfig(
            epochs=1, batch_size=batch_size, weight_decay=4e-5, gradient_clip_norm=10.0, ema_decay=0.9999, jit_compile=jit_compile
        )
        step = make_step(case.ours, config, strategy)
        return step.one, lambda number: (batch, np.float32(1e-4), np.float32(0), np.int64(number), np.float32(0))
    with strategy.scope():
        model = inference_model(case.ours())
    infer = compiled(lambda images: model(images, training=False), jit_compile)
    return tf.function(lambda images: strategy.run(infer, args=(images,)), autograph=False), lambda number: batch[:1]


def images_per_second(run: Callable[[int], tf.Tensor], case: Case, strategy: tf.distribute.Strategy) -> tuple[float, float]:
    """Returns (images per second, seconds of the first two calls, which compile) of `run`, which gets the number of the call, from 0."""

    def call(numbers):
        began = time.perf_counter()
        for number in numbers:
            result = run(number)
        tf.nest.map_structure(np.asarray, strategy.experimental_local_results(result))  # waits, because devices run asynchronously
        return time.perf_counter() - began

    compiling = call(range(2))
    return case.steps * case.batch_size * strategy.num_replicas_in_sync / call(range(2, 2 + case.steps)), compiling


def peak_memory() -> float:
    """Returns the peak memory in GB: of the first GPU, or the resident memory of this process where there is none."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def tpu_strategy() -> tf.distribute.Strategy:
    """Returns the strategy for all cores of the TPU that the environment variable TPU_NAME names, "local" for one in this machine."""
    return make_strategy("tpu", os.environ.get("TPU_NAME", ""))


def machine(device: str) -> dict:
    """Returns the kind of device ("TPU", "GPU" or "CPU"), their number and a sentence about them and the libraries.

    Args:
      device: "tpu" or "auto".

    Raises:
      InputError: `device` is "tpu", and no TPU can be reached.
    """
    libraries = [f"TensorFlow {tf.__version__}", f"Keras {keras.__version__}"]
    if device == "tpu":
        kind, count = "TPU", tpu_strategy().num_replicas_in_sync
        text = f"{count} TPU cores"
    elif gpus := tf.config.list_physical_devices("GPU"):
        kind, count = "GPU", len(gpus)
        names = [tf.config.experimental.get_device_details(each).get("device_name", "GPU") for each in gpus]
        text = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
        build = tf.sysconfig.get_build_info()
        libraries += [f"{name} {build[key]}" for name, key in (("CUDA", "cuda_version"), ("cuDNN", "cudnn_version")) if key in build]
    else:
        kind, count, text = "CPU", 0, f"no accelerator, {available_cpus()} cores of {platform.machine()}"
    return {"kind": kind, "count": count, "text": ", ".join([text, *libraries])}


def two_strategies(is_tpu: bool) -> tuple[tf.distribute.Strategy, tf.distribute.Strategy]:
    """Returns the strategies for one device and for all devices; a CPU counts as two devices."""
    if is_tpu:
        every = tpu_strategy()
        return tf.distribute.OneDeviceStrategy(tf.config.list_logical_devices("TPU")[0].name), every
    if not tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # the devices are already initialized and stay as they are
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
            )
    return make_strategy("one_device"), make_strategy("mirrored")


def measure(name: str, device: str, wait: Callable[[], object]) -> dict:
    """Returns the result of a row, JSON-ready.

    Args:
      name: "machine", "comparisons", or the words of a speed row: network, kind, precision, who, XLA.
      device: "tpu" or "auto".
      wait: is called when all is traced, and returns when the device is free.
    """
    if name == "machine":
        return machine(device)
    if name == "comparisons":
        wait()
        return {"comparisons": list(comparisons(*two_strategies(device == "tpu"), device == "tpu"))}
    network, kind, policy, who, xla = name.split()
    strategy = tpu_strategy() if device == "tpu" else make_strategy("mirrored" if who == "all" else "one_device")
    case = find_case(network)
    with dtype_policy(policy):
        function, arguments = timed_function(case, kind, who, xla == "on", strategy)
        function.get_concrete_function(*arguments(0))
        wait()
        speed, compiling = images_per_second(lambda number: function(*arguments(number)), case, strategy)
    return {"speed": speed, "compile_s": round(compiling, 1), "peak_gb": round(peak_memory(), 2), "batch_size": case.batch_size}


def main(name: str, device: str) -> None:
    answers = os.fdopen(os.dup(1), "w")  # only answers go to standard output; what libraries print goes to the log
    os.dup2(2, 1)

    def say(text: str) -> None:
        print(text, file=answers, flush=True)

    def wait() -> None:
        say("READY")
        sys.stdin.readline()

    try:
        result = measure(name, device, wait)
    except Exception as error:  # noqa: BLE001  out of memory, unsupported: the row says so
        result = {"failed": failure(error)}
    say("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
