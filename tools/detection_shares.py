"""Where the time of a detector goes: trunk, proposals and second stage for one picture, in seconds of CPU.

    python tools/detection_shares.py 600 800
    python tools/detection_shares.py 800 --network=large --proposals=50   # 300 take six times the memory

With fresh weights and COCO's 90 classes; each part is traced, run once, then measured once.
"""

import argparse
import dataclasses
import resource
import time

import tensorflow as tf

from nasnet_tf.detection.model import DetectorConfig, build_detector, first_stage, region_features
from nasnet_tf.models.network import build_network
from nasnet_tf.models.zoo import ZOO

CLASSES = 90


def seconds_of(function, *arguments) -> float:
    """CPU time, over all threads, of the second call."""
    traced = tf.function(function, autograph=False)
    traced(*arguments)
    begin = time.process_time()
    traced(*arguments)
    return time.process_time() - begin


def shares(name: str, proposals: int, size: int) -> dict[str, float]:
    """Seconds of CPU of each part of a detector on a network of the zoo, for one picture of size x size pixels."""
    network = build_network("nasnet_a", dataclasses.replace(ZOO[name].config, auxiliary_head=False), None, (None, None))
    detector = build_detector(network, DetectorConfig(num_proposals=proposals), CLASSES)
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sides", nargs="+", type=int)
    parser.add_argument("--network", choices=["mobile", "large"], default="mobile")
    parser.add_argument("--proposals", type=int, default=300)
    arguments = parser.parse_args()
    for side in arguments.sides:
        found = shares(arguments.network, arguments.proposals, side)
        total = sum(found.values())
        parts = ", ".join(f"{name} {value:.2f} s ({value / total:.0%})" for name, value in found.items())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{arguments.network}, {side} px, {arguments.proposals} proposals: {parts}; {memory:.2f} GiB at most", flush=True)
