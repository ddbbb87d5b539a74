"""What a search pays for a child (NASNet-A, N = 2, F = 32, 32 pixels) before its first training step is done, beside Keras' layers."""

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
    """In alternating processes, from when everything is imported, as it is where a search forks its children."""
    case = find_case("child", options.quick)
    samples = alone_in_turns({"ours": our_child, case.peer: their_child}, options.rounds, options.quick)
    ours = {phase: [result[phase] for result in samples["ours"]] for phase in samples["ours"][0]}
    rows = [
        Row("child to the end of its first step, batch 32", "s", {"ours": ours.pop("all"), case.peer: samples[case.peer]}, "3, and 6 s")
    ]
    return rows + [Row(f"of it: {phase}", "s", {"ours": found}) for phase, found in ours.items()]


def _data(case) -> ImageData:
    return ImageData("digits", CifarPreprocessing(case.image_size), validation_examples=64)


def our_child(quick: bool):
    """As a search runs it; the learning rate is asked for before each step, which tells when the first has ended."""
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
    case = find_case("child", quick)

    def first_step():
        batch = next(iter(_data(case).train(_BATCH_SIZE, seed=0)))
        keras_step(case.theirs(), case.rmsprop, batch)()

    return timed(first_step)
