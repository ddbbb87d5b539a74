"""Measures what limits a search: children per core-hour on the one traced network, and a proposal of the model after many trials."""

import random
from collections.abc import Iterator

import numpy as np

from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.genotype import Genotype, SearchSpace
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.nas.children.space_training import SpaceTraining
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.protocol import Proposal
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.schedules import cosine_decay
from tools.bench.networks import TINY_SPACE
from tools.bench.timing import Options, Row, Sample, alone, in_turns, on_one_core, timed, total

_STEPS, _VALIDATION = 80, 1000  # steps and validation images of a child, as in cifar10_search_small.gin
_TIMED_STEPS = 10  # a child's steps are all alike
_TRIALS = (100, 1000, 10_000)
_PROPOSALS = 5


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows. Each image size and each number of trials has a process of its own, on one core."""
    for image_size in (12, 16, 32)[: 1 if options.quick else None]:
        samples = alone(children, image_size, options.rounds, options.quick)
        what = f"children of {_STEPS} steps, batch 32, {image_size} pixels, 8 filters, scored on {_VALIDATION:,} images"
        yield Row(what, "children/core-hour", {"ours": samples}, amount=3600)
    for trials in _TRIALS[: 1 if options.quick else None]:
        samples = alone(proposals, 20 if options.quick else trials, options.rounds)
        yield Row(f"a model-guided proposal after {trials:,} trials", "ms", {"ours": samples}, "50 ms" if trials <= 1000 else "")


def children(image_size: int, rounds: int, quick: bool) -> list[Sample]:
    """Returns the cost of one child of each of `rounds` random architectures, computed from a few steps and one evaluation."""
    on_one_core()
    space = TINY_SPACE if quick else SearchSpace()
    network = NetworkConfig(1, "cifar", 3.0, filters=4 if quick else 8, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    data = ImageData("digits", CifarPreprocessing(image_size, upsample=1.0, flip=False), validation_examples=250)
    config = TrainingConfig(1, 32, evaluate_every_epochs=1, weight_decay=5e-4, gradient_clip_norm=5.0)
    training = SpaceTraining(space, network, data, config, cosine_decay(0.05), 0.9)
    training.trace()
    return [child(training, space.decode(space.sample(random.Random(number)))) for number in range(rounds)]


def child(training: SpaceTraining, genotype: Genotype) -> Sample:
    """Returns the cost of a child, from some of its steps and one evaluation, each after one that does not count."""
    plan = training.network.plan(genotype)
    weights, statistics = plan.fresh_weights(0), plan.fresh_statistics()
    images, labels = (batches[:_TIMED_STEPS] for batches in next(iter(training.training_stacks)))
    rates = np.zeros(len(images), np.float32)  # of 0, so that the loss stays finite; otherwise the steps would end early

    def train():
        training.steps(images, labels, rates, np.zeros_like(weights), plan.is_decayed, weights, statistics, *plan.arrays)[-1].numpy()

    def score():
        training.accuracy(training.validation_stacks, weights, statistics, plan, own_statistics=False)

    samples = in_turns({"training": train, "scoring": score}, rounds=1)
    times = {"training": _STEPS / len(images), "scoring": _VALIDATION / training.data.num_examples("validation")}
    return total(*([times[what] * cost for cost in sample] for what, (sample,) in samples.items()))


def proposals(trials: int, rounds: int) -> list[Sample]:
    """Returns the mean cost of a few proposals for each of `rounds` rounds. Each proposal gets its reward before the next one."""
    on_one_core()
    space, draws = SearchSpace(), random.Random(0)
    strategy = ModelGuided(space, 0)

    def learn(proposal: Proposal) -> None:
        strategy.feedback(proposal, 0.3 + sum(proposal.decisions) / 1000 + draws.gauss(0, 0.02))

    for _ in range(trials):
        learn(Proposal(tuple(space.sample(draws))))
    found = []
    for _ in range(rounds + 1):  # the first round is dropped, because it fits the model anew
        samples = [timed(lambda: learn(strategy.propose())) for _ in range(_PROPOSALS)]
        found.append([sum(column) / _PROPOSALS for column in zip(*samples, strict=True)])
    return found[1:]
