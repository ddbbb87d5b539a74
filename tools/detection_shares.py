"""Where the time of a detector goes: trunk, proposals and second stage of NASNet-A (4 @ 1056) for one picture, in seconds of CPU.

    python tools/detection_shares.py 600 800

With fresh weights, COCO's 90 classes and 300 proposals; each part is traced, run once, then measured once.
"""

import resource
import sys
import time

import tensorflow as tf

from nasnet_tf.detection.model import DetectorConfig, build_detector, first_stage, region_features
from nasnet_tf.genotype import load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network

NETWORK = NetworkConfig(4, "imagenet", 1.0, penultimate_filters=1056, prev_skips_reduction=False)
CLASSES = 90


def seconds_of(function, *arguments) -> float:
    """CPU time, over all threads, of the second call."""
    traced = tf.function(function, autograph=False)
    traced(*arguments)
    begin = time.process_time()
    traced(*arguments)
    return time.process_time() - begin


def shares(size: int) -> dict[str, float]:
    """Seconds of CPU of each part for one picture of size x size pixels."""
    network = build_network(load_genotype("nasnet_a"), NETWORK, None, (None, None))
    detector = build_detector(network, DetectorConfig(), CLASSES)
    images = tf.random.stateless_uniform([1, size, size, 3], [0, 1], -1.0, 1.0)
    trunk = seconds_of(lambda images: detector.get_layer("trunk")(images, training=False), images)
    both = seconds_of(lambda images: first_stage(detector, images, False).proposals, images)
    first = first_stage(detector, images, False)
    heads = detector.get_layer("box_head")
    second = seconds_of(
        lambda *inputs: heads(region_features(detector, inputs[0], inputs[1], inputs[2], False)), images, first.states, first.proposals
    )
    return {"trunk": trunk, "proposals": max(0.0, both - trunk), "second stage": second}


if __name__ == "__main__":
    for side in map(int, sys.argv[1:]):
        found = shares(side)
        total = sum(found.values())
        parts = ", ".join(f"{name} {value:.2f} s ({value / total:.0%})" for name, value in found.items())
        print(f"{side} px: {parts}; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most", flush=True)
