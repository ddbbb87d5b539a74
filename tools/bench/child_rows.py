"""The cost of a child (NASNet-A, N = 2, F = 32, 32 pixels) up to the end of its first training step, compared with Keras' layers."""

import itertools
import time

from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.nas.children.evaluator import ChildTraining
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.optimizers import Momentum
from tools.bench.networks import CLIP_NORM, MOMENTUM, RATE, WEIGHT_DECAY, find_case, keras_step
from tools.bench.timing import Options, Row, alone_in_turns, timed

_BATCH_SIZE = 32


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured in alternating processes. Imports do not count, because a search forks its children after them."""
    case = find_case("child", options.quick)
    samples = alone_in_turns({"ours": our_child, case.peer: their_child}, options.rounds, options.quick)
    ours = {phase: [result[phase] for result in samples["ours"]] for phase in samples["ours"][0]}
    rows = [
        Row(
            "child to the end of its first step, batch 32", "s", {"ours": ours.pop("all"), case.peer: samples[case.peer]}, "ratio 3 and 6 s"
        )
    ]
    return rows + [Row(f"child: {phase}", "s", {"ours": found}) for phase, found in ours.items()]


def _data(case) -> ImageData:
    return ImageData("digits", CifarPreprocessing(case.image_size), validation_examples=64)


def our_child(quick: bool):
    """Returns the cost of a child that is trained as in a search, in total and for each phase.

    Training asks for the learning rate before each step, so its second request marks the end of the first step.
    """
    case, marks = find_case("child", quick), []

    def mark():
        marks.append((time.perf_counter(), time.process_time()))

    def optimizer():
        mark()
        return Momentum(MOMENTUM)

    def rate(*_):
        mark()
        return RATE

    mark()
    data = _data(case)
    epochs = 2 * _BATCH_SIZE / data.num_train_examples
    training = TrainingConfig(
        epochs,
        _BATCH_SIZE,
        weight_decay=WEIGHT_DECAY,
        gradient_clip_norm=CLIP_NORM,
        evaluate_every_epochs=1e6,
        evaluation_split="validation",
    )
    ChildTraining(case.config, data, optimizer, rate, training)(case.genotype)
    phases = ("data and building", "set-up", "tracing and running")
    between = [[b - a for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(marks[:4])]
    return {"all": [b - a for a, b in zip(marks[0], marks[3], strict=True)]} | dict(zip(phases, between, strict=True))


def their_child(quick: bool):
    """Returns the cost of building a network in Keras' layers and of its first training step, with the first batch."""
    case = find_case("child", quick)

    def first_step():
        batch = next(iter(_data(case).train(_BATCH_SIZE, seed=0)))
        keras_step(case.theirs(), case.rmsprop, batch)()

    return timed(first_step)
