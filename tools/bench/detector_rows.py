"""The time of a detector's stages for one image: trunk, proposals and second stage, with random weights and COCO's 90 classes."""

import resource
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.detection.model import DetectorConfig, build_detector, first_stage, region_features
from nasnet_tf.models.network import build_network
from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, alone, in_turns

_CLASSES = 90
# (network, image side in pixels, proposals). The large network has 50 proposals, because 300 take six times the memory.
_CASES = (("mobile", 600, 300), ("mobile", 800, 300), ("large", 800, 50))


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows. Each case is measured in a process of its own."""
    for name, side, proposals in [("mobile", 32, 4)] if options.quick else _CASES:
        found = alone(parts, name, side, proposals, options.rounds, options.quick)
        memory = found.pop("memory")
        where = f"detector, {name}, {side} pixels, {proposals} proposals"
        yield from (Row(f"{where}: {part}", "s", {"ours": samples}) for part, samples in found.items())
        yield Row(f"{where}: peak memory", "GB", {"ours": memory})


def parts(name: str, side: int, proposals: int, rounds: int, quick: bool):
    """Returns the samples of each stage of a detector, and the peak memory of the process."""
    case = find_case(name, quick)
    network = build_network(case.genotype, case.config, None, (None, None))
    detector = build_detector(network, DetectorConfig(num_proposals=proposals), _CLASSES)
    images = tf.random.stateless_uniform([1, side, side, 3], [0, 1], -1.0, 1.0)
    first, heads = first_stage(detector, images, False), detector.get_layer("box_head")
    calls = {
        "trunk": lambda: detector.get_layer("trunk")(images, training=False),
        "trunk and proposals": lambda: first_stage(detector, images, False).proposals,
        "second stage": lambda: heads(region_features(detector, images, first.states, first.proposals, False)),
    }
    samples = in_turns({part: tf.function(call, autograph=False) for part, call in calls.items()}, rounds)
    return samples | {"memory": [[resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]]}
