"""Measures what a search pays for a child before its first training step is done, beside the same child in Keras' own layers and `fit`.

    python tools/child_speed.py

Both children are forked by a search's LocalPool, one at a time and with one thread, in turns: whatever else the machine does hits them
alike. The other child is written as keras/src/applications/nasnet.py is, from SeparableConv2D, Conv2D, BatchNormalization and the like,
and trained by `model.fit` without XLA. Phases are in seconds, each as "on the clock / of processor time" (on a busy machine the latter
says more); the medians over the rounds come last.
"""

import argparse
import dataclasses
import functools
import itertools
import multiprocessing.forkserver
import statistics
import time
from collections.abc import Callable

import keras

from nasnet_tf.cpus import available_cpus
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.genotype import Combine, Genotype, Operation, load_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.nas.engines import LocalPool
from nasnet_tf.nas.evaluator import evaluate_genotype
from nasnet_tf.training.loop import TrainingConfig
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.training.schedules import cosine_decay

PHASES = ("start", "data", "build", "set-up", "first step", "step", "rest", "end")
RATE = 0.025
MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Child:
    """What both children train.

    steps: training steps, 3 or more; evaluation is on data's validation examples.
    """

    genotype: str
    network: NetworkConfig
    data: ImageData
    batch_size: int
    steps: int


class Clock:
    """Notes the times at which phases end: (clock of the machine, processor time of this process)."""

    def __init__(self):
        self.marks = []

    def mark(self) -> None:
        self.marks.append((time.monotonic(), time.process_time()))

    def outcome(self, reward: float, parameters: int) -> dict:
        """Marks: began, data, built, set up, one for each step, ended."""
        return {"reward": reward, "parameters": parameters, "marks": self.marks}


def our_child(child: Child) -> dict:
    """As a search runs it, by what it calls."""
    clock = Clock()
    clock.mark()
    training = TrainingConfig(
        epochs=child.steps * child.batch_size / child.data.num_train_examples,
        batch_size=child.batch_size,
        weight_decay=5e-4,
        gradient_clip_norm=5.0,
        evaluate_every_epochs=1e6,
    )
    clock.mark()

    def optimizer():
        clock.mark()
        return Momentum(MOMENTUM)

    def rate(*position):
        clock.mark()  # once before each step
        return cosine_decay(RATE)(*position)

    outcome = evaluate_genotype(load_genotype(child.genotype), child.network, child.data, optimizer, rate, training)
    clock.mark()
    return clock.outcome(outcome["reward"], outcome["metrics"]["parameters"])


def keras_child(child: Child) -> dict:
    """The same with what Keras has."""
    clock = Clock()
    clock.mark()
    keras.utils.set_random_seed(0)
    batches = child.data.train(child.batch_size, seed=0)
    clock.mark()
    model = keras_network(load_genotype(child.genotype), child.network, child.data.num_classes, child.data.image_size)
    clock.mark()
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(RATE, child.steps), MOMENTUM, global_clipnorm=5.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    clock.mark()
    steps = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: clock.mark())
    model.fit(batches, steps_per_epoch=child.steps, verbose=0, callbacks=[steps])
    clock.marks.pop()  # the last step ends where the rest begins
    _, accuracy = model.evaluate(child.data.evaluation("validation", child.batch_size), verbose=0)
    clock.mark()
    return clock.outcome(accuracy, sum(variable.shape.num_elements() for variable in model.trainable_variables))


def keras_network(genotype: Genotype, config: NetworkConfig, num_classes: int, image_size: int) -> keras.Model:
    """The network of a genotype whose operations keras/src/applications/nasnet.py has, with the stem for CIFAR, L2 of 5e-4 / 2."""
    layers, decay = keras.layers, keras.regularizers.L2(5e-4 / 2)

    def norm(hidden):
        return layers.BatchNormalization(momentum=config.batch_norm_momentum, epsilon=config.batch_norm_epsilon)(hidden)

    def conv(hidden, filters, size=1, stride=1):
        return layers.Conv2D(filters, size, stride, padding="same", use_bias=False, kernel_regularizer=decay)(hidden)

    def separable(hidden, filters, size, stride):
        for step in (stride, 1):
            hidden = layers.SeparableConv2D(
                filters, size, step, padding="same", use_bias=False, depthwise_regularizer=decay, pointwise_regularizer=decay
            )(layers.ReLU()(hidden))
            hidden = norm(hidden)
        return hidden

    def halve(hidden, filters):
        even = layers.AveragePooling2D(1, 2)(hidden)
        odd = layers.AveragePooling2D(1, 2)(layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(hidden)))
        return norm(layers.Concatenate()([conv(even, filters // 2), conv(odd, filters - filters // 2)]))

    def pool(layer, size, hidden, filters, stride):
        hidden = layer(size, stride, padding="same")(hidden)
        return hidden if hidden.shape[-1] == filters else norm(conv(hidden, filters))

    def identity(hidden, filters, stride):
        return hidden if stride == 1 and hidden.shape[-1] == filters else norm(conv(layers.ReLU()(hidden), filters, 1, stride))

    operations = {
        Operation.IDENTITY: identity,
        Operation.AVG_POOL_3X3: functools.partial(pool, layers.AveragePooling2D, 3),
        Operation.MAX_POOL_3X3: functools.partial(pool, layers.MaxPooling2D, 3),
        Operation.SEP_CONV_3X3: functools.partial(separable, size=3),
        Operation.SEP_CONV_5X5: functools.partial(separable, size=5),
        Operation.SEP_CONV_7X7: functools.partial(separable, size=7),
    }

    def cell(message, newest, older, filters, is_reduction):
        states = [norm(conv(layers.ReLU()(newest), filters)), newest if older is None else older]
        if older is not None and older.shape[1] != newest.shape[1]:
            states[1] = halve(layers.ReLU()(older), filters)
        elif older is not None and older.shape[-1] != filters:
            states[1] = norm(conv(layers.ReLU()(older), filters))
        for block in message.blocks:
            assert block.combine == Combine.ADD
            sides = [
                operations[side.operation](states[side.input], filters=filters, stride=2 if is_reduction and side.input < 2 else 1)
                for side in (block.left, block.right)
            ]
            states.append(layers.Add()(sides))
        chosen = [states[state] for state in message.outputs[0].states]
        for index, state in enumerate(message.outputs[0].states):
            if state < 2 and is_reduction:
                chosen[index] = halve(chosen[index], filters)
            elif state < 2 and chosen[index].shape[-1] != filters:
                chosen[index] = norm(conv(chosen[index], filters))
        return layers.Concatenate()(chosen), newest

    images = keras.Input((image_size, image_size, 3))
    newest, older = norm(conv(images, int(config.filters * config.stem_multiplier), 3)), None
    for stack in range(3):
        if stack > 0:
            newest, older = cell(genotype.reduction_cell, newest, older, config.filters * 2**stack, is_reduction=True)
        for _ in range(config.cells_per_stack):
            newest, older = cell(genotype.normal_cell, newest, older, config.filters * 2**stack, is_reduction=False)
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(newest))
    return keras.Model(images, layers.Dense(num_classes, kernel_regularizer=decay)(features))


def run(pool: LocalPool, function: Callable[[Child], dict], child: Child) -> dict:
    """{phase: (seconds on the clock, seconds of processor time)} with "to first step" and "all", and reward and parameters."""
    submitted = time.monotonic()
    pool.submit(0, function, child)
    while not (outcomes := pool.poll(timeout_seconds=10.0)):
        pass
    ended = time.monotonic()
    if outcomes[0].reason is not None:
        raise RuntimeError(outcomes[0].reason)
    value = outcomes[0].value
    marks = value["marks"]
    first, last = marks[4], marks[-2]
    times = [(submitted, 0.0), *marks[:5], last, marks[-1], (ended, marks[-1][1])]
    row = {phase: (b[0] - a[0], b[1] - a[1]) for phase, (a, b) in zip(PHASES, itertools.pairwise(times), strict=True)}
    row["step"] = tuple(seconds / (len(marks) - 6) for seconds in row["step"])
    row["to first step"] = (first[0] - submitted, first[1])
    row["all"] = (ended - submitted, marks[-1][1])
    return row | {"reward": value["reward"], "parameters": value["parameters"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--genotype", default="nasnet_a", help="a published one or a textproto, of %(default)s's operations")
    parser.add_argument("--source", default="digits", help="a name that ImageData takes")
    parser.add_argument("--data_dir", help="where TensorFlow Datasets prepares its data")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--cells_per_stack", type=int, default=2)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours_only", action="store_true")
    args = parser.parse_args()
    data = ImageData(args.source, CifarPreprocessing(args.image_size), args.data_dir, validation_examples=64)
    network = NetworkConfig(args.cells_per_stack, "cifar", 3.0, args.filters, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    child = Child(args.genotype, network, data, args.batch_size, args.steps)
    functions = {"ours": our_child} | ({} if args.ours_only else {"keras": keras_child})
    # What a search's first child waits for, the server to fork from, is paid once.
    multiprocessing.set_forkserver_preload(["nasnet_tf.configurables"])
    multiprocessing.forkserver.ensure_running()
    pool = LocalPool(num_workers=available_cpus())  # each child gets one thread; they run one at a time
    rows = {name: [] for name in functions}
    try:
        run(pool, time_nothing, child)
        for _ in range(args.rounds):
            for name, function in functions.items():
                rows[name].append(run(pool, function, child))
                print(describe(name, rows[name][-1]), flush=True)
    finally:
        pool.close()
    print("medians")
    medians = {}
    for name in functions:
        timed = [key for key, value in rows[name][0].items() if isinstance(value, tuple)]
        medians[name] = {key: tuple(statistics.median(row[key][clock] for row in rows[name]) for clock in (0, 1)) for key in timed}
        print(describe(name, rows[name][0] | medians[name]))
    if "keras" in medians:
        wall, processor = (ours / theirs for ours, theirs in zip(*(medians[name]["to first step"] for name in functions), strict=True))
        print(f"to the end of the first step: {wall:.2f} of Keras' time, {processor:.2f} of its processor time")


def time_nothing(child: Child) -> dict:
    """A child that ends at once."""
    clock = Clock()
    for _ in range(7):
        clock.mark()
    return clock.outcome(0.0, 0)


def describe(name: str, row: dict) -> str:
    times = "  ".join(f"{key} {value[0]:.2f} / {value[1]:.2f}" for key, value in row.items() if isinstance(value, tuple))
    return f"{name}: {times}  parameters {row['parameters']}  reward {row['reward']!r}"


if __name__ == "__main__":
    main()
