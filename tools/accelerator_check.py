"""Tries this machine's GPUs or TPU: do they compute what they should, and how fast.

    python tools/accelerator_check.py
    python tools/accelerator_check.py --strategy=tpu

Prints a line on the machine and one table, for docs/benchmarks/devices.md; each row goes to standard error as soon as it is there. First
comparisons, 20 steps of a small network each: one device against all of them, without batch normalization and with a synchronized one, and
half precision against float32; exit code 1 if one does not hold. Then images per second on all devices together, of training (the package's
own step) and inference, for NASNet-A mobile and large, in float32 and mixed_bfloat16, with and without XLA. What cannot be done, for want
of memory perhaps, is a row with its reason. Without an accelerator everything runs on the CPU, as two devices, with a small network, and
XLA with float32 alone.
"""

import argparse
import dataclasses
import datetime
import functools
import gc
import itertools
import platform
import shlex
import sys
import time
import types
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.cpus import available_cpus
from nasnet_tf.base.errors import InputError, reason
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

HEADER = ("what", "network", "numbers", "XLA", "result")
STEPS = 20  # of a comparison
RATE = 0.01
CLASSES = 10
EXACT, HALF = 1e-3, 0.1  # largest difference of losses, relative to the largest loss


@dataclasses.dataclass(frozen=True)
class Case:
    """A network to be measured; batch_size: of each device; steps: that are timed, after those that compile."""

    name: str
    genotype: Genotype
    config: NetworkConfig
    num_classes: int
    image_size: int
    batch_size: int
    steps: int


def cases(is_small: bool) -> list[Case]:
    """NASNet-A mobile and large; or a small one with one cell a stack, of one block with 8 filters, at 32 pixels."""
    found = []
    for name, batch_size in (("mobile", 64), ("large", 16)):
        variant = find_variant(name)
        config = dataclasses.replace(variant.config, auxiliary_head=True)
        if is_small:  # XLA takes minutes on a CPU for each network of NASNet-A's cells
            config = dataclasses.replace(config, cells_per_stack=1, penultimate_filters=None, filters=8)
            return [Case("small", smallest_genotype(), config, CLASSES, 32, 2, 2)]
        genotype = load_genotype(variant.genotype)
        found.append(Case(name, genotype, config, variant.num_classes, variant.image_size, batch_size, 30))
    return found


def small_network(batch_norm: bool) -> keras.Model:
    """A convolution, synchronized batch normalization if wanted, and a classifier, of 8x8 pixels; the same weights every time."""
    keras.utils.set_random_seed(1)
    images = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(8, 3)(images)
    if batch_norm:
        hidden = BatchNorm(LayerStyle(0.9, 1e-3, synchronized_batch_norm=True))(hidden)
    hidden = keras.layers.Flatten()(keras.layers.ReLU()(hidden))
    return keras.Model(images, keras.layers.Dense(CLASSES, dtype="float32")(hidden))


def make_step(build: Callable[[], keras.Model], config: TrainingConfig, strategy: tf.distribute.Strategy) -> TrainStep:
    """The package's own step of a fresh model."""
    with strategy.scope():
        state = TrainingState.fresh(build(), RMSProp(), config.ema_decay)
    task = Classification(types.SimpleNamespace(num_classes=CLASSES, source="random"), config)
    return TrainStep(state, task, config, strategy)


def losses(batch_norm: bool, policy: str, strategy: tf.distribute.Strategy, batch_size: int) -> np.ndarray:
    """Of STEPS steps in the numbers of the policy, on batches that are the same for any number of devices."""
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
    """Whether losses are finite and near the reference's, and that in words."""
    difference = float(np.max(np.abs(ours - reference)) / np.max(np.abs(reference)))
    holds = bool(np.isfinite(ours).all() and difference <= limit)
    return holds, f"{'holds' if holds else 'DOES NOT HOLD'}: losses differ by {difference:.1e} of the largest, {limit:.0e} allowed"


def comparisons(one: tf.distribute.Strategy, every: tf.distribute.Strategy, is_tpu: bool) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """(whether it holds, row) of each comparison."""
    count = every.num_replicas_in_sync
    batch_size = count * -(-32 // count)
    exact = HALF if is_tpu else EXACT  # TPUs multiply float32 as bfloat16

    def row(what, network, numbers, limit, ours, reference):
        try:
            holds, result = compare(ours(), reference(), limit)
        except Exception as error:  # noqa: BLE001  whatever a device cannot do
            holds, result = False, failure(error)
        return holds, (what, network, numbers, "", result)

    tensor_float = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # GPUs would drop digits that the comparison is about
    for batch_norm, network in ((False, "small"), (True, "small, synchronized batch normalization")):
        run = functools.partial(losses, batch_norm, "float32", batch_size=batch_size)
        yield row(f"1 device and {count}", network, "float32", exact, lambda run=run: run(every), lambda run=run: run(one))
    for policy in ("mixed_bfloat16", "mixed_float16"):
        ours = functools.partial(losses, True, policy, every, batch_size)
        yield row("half precision and full", network, policy, HALF, ours, functools.partial(losses, True, "float32", every, batch_size))
    tf.config.experimental.enable_tensor_float_32_execution(tensor_float)


def failure(error: Exception) -> str:
    """In the place of a result."""
    return f"failed: {type(error).__name__}: {reason(error)[:200]}".replace("|", "/")


def random_batch(case: Case, strategy: tf.distribute.Strategy) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and labels that are on each device already."""
    shape = [case.batch_size, case.image_size, case.image_size, 3]

    def make():
        return tf.random.normal(shape), tf.random.uniform(shape[:1], 0, case.num_classes, tf.int32)

    return tf.function(lambda: strategy.run(make), autograph=False)()


def images_per_second(run: Callable[[int], tf.Tensor], case: Case, strategy: tf.distribute.Strategy) -> float:
    """Of a function of the number of steps before, after two calls that compile it."""
    for number in range(2):
        result = run(number)
    tf.nest.map_structure(np.asarray, strategy.experimental_local_results(result))
    began = time.perf_counter()
    for number in range(case.steps):
        result = run(number + 2)
    tf.nest.map_structure(np.asarray, strategy.experimental_local_results(result))  # devices work behind Python
    return case.steps * case.batch_size * strategy.num_replicas_in_sync / (time.perf_counter() - began)


def training_speed(case: Case, policy: str, jit_compile: bool, strategy: tf.distribute.Strategy) -> float:
    """Images per second of the package's training step with a recipe's weight decay, clipping and averages."""
    batch_size = case.batch_size * strategy.num_replicas_in_sync
    config = TrainingConfig(
        epochs=1, batch_size=batch_size, weight_decay=4e-5, gradient_clip_norm=10.0, ema_decay=0.9999, jit_compile=jit_compile
    )
    with dtype_policy(policy):
        step = make_step(lambda: build_network(case.genotype, case.config, case.num_classes, case.image_size), config, strategy)
        batches = itertools.repeat(random_batch(case, strategy))
        return images_per_second(lambda number: step(batches, number, [1e-4], [0.0], 0.0), case, strategy)


def inference_speed(case: Case, policy: str, jit_compile: bool, strategy: tf.distribute.Strategy) -> float:
    """Images per second to logits."""
    with dtype_policy(policy):
        with strategy.scope():
            model = inference_model(build_network(case.genotype, case.config, case.num_classes, case.image_size))
        images, _ = random_batch(case, strategy)
        infer = compiled(lambda images: model(images, training=False), jit_compile)
        on_all = tf.function(lambda: strategy.run(infer, args=(images,)), autograph=False)
        return images_per_second(lambda number: on_all(), case, strategy)


def speeds(
    chosen: list[Case], policies: tuple[str, ...], strategy: tf.distribute.Strategy, on_cpu: bool = False
) -> Iterator[tuple[str, ...]]:
    """A row for each network, kind of numbers, with and without XLA, of training and of inference."""
    kinds = {"training": training_speed, "inference": inference_speed}
    for case, policy, jit_compile, kind in itertools.product(chosen, policies, (False, True), kinds):
        if on_cpu and jit_compile and policy != "float32":
            continue  # was not seen to end within ten minutes
        try:
            result = f"{kinds[kind](case, policy, jit_compile, strategy):.4g} images/s"
        except Exception as error:  # noqa: BLE001  out of memory, unsupported
            result = failure(error)
        keras.utils.clear_session()
        gc.collect()
        network = f"{case.name}, {case.image_size} pixels, {case.batch_size} a device"
        yield kind, network, policy, "on" if jit_compile else "off", result


def strategies(name: str) -> tuple[tf.distribute.Strategy, tf.distribute.Strategy]:
    """One device of the kind found, and all of them."""
    if name == "tpu":
        every = make_strategy("tpu")
        return tf.distribute.OneDeviceStrategy(tf.config.list_logical_devices("TPU")[0].name), every
    if not tf.config.list_physical_devices("GPU"):
        try:
            halves = [tf.config.LogicalDeviceConfiguration()] * 2
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
        except RuntimeError:  # in use already, as it is
            pass
    return make_strategy("one_device"), make_strategy("mirrored")


def devices(kind: str) -> str:
    """What they are, for the table."""
    if kind == "CPU":
        return f"no accelerator, {available_cpus()} cores of {platform.machine()} as {len(tf.config.list_logical_devices('CPU'))} devices"
    if kind == "TPU":
        return f"{len(tf.config.list_logical_devices('TPU'))} TPU cores"
    names = [tf.config.experimental.get_device_details(each).get("device_name", "GPU") for each in tf.config.list_physical_devices("GPU")]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def table(rows: list[tuple[str, ...]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [HEADER, ("---",) * len(HEADER), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--strategy", choices=["auto", "tpu"], default="auto", help="auto: GPUs, or the CPU where there are none")
    parser.add_argument("--small", action="store_true", help="a small network; by itself where no accelerator is found")
    args = parser.parse_args()
    try:
        one, every = strategies(args.strategy)
    except InputError as error:
        sys.exit(f"error: {error}")
    kind = "TPU" if args.strategy == "tpu" else "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    is_small = args.small or kind == "CPU"
    if is_small and not args.small:
        print("no accelerator found: a small network on the CPU", file=sys.stderr, flush=True)
    rows, all_hold = [], True

    def note(row):
        rows.append(row)
        print(*filter(None, row), sep=" | ", file=sys.stderr, flush=True)

    for holds, row in comparisons(one, every, kind == "TPU"):
        all_hold &= holds
        note(row)
    for row in speeds(cases(is_small), ("float32", "mixed_bfloat16"), every, kind == "CPU"):
        note(row)
    command = shlex.join(["python", "tools/accelerator_check.py", *sys.argv[1:]])
    print(f"{datetime.date.today()}, `{command}`, {devices(kind)}, TensorFlow {tf.__version__}, Keras {keras.__version__}:\n")
    print(table(rows))
    sys.exit(0 if all_hold else 1)


if __name__ == "__main__":
    main()
