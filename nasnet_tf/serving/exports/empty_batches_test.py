"""Tests of empty batches, which a client that filters its pictures may send, with and without oneDNN's convolutions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports import engines
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.exports.saved_detector import export_detector
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.detector import load_detector
from nasnet_tf.testing import tiny_genotype

SIDE = 20
PREPROCESSING = {"kind": "imagenet", "image_size": SIDE}
SCRIPT = """
import sys, json, tensorflow as tf
shapes = {}
for path in sys.argv[1:]:
    loaded = tf.saved_model.load(path)
    for name, signature in loaded.signatures.items():
        (spec,) = signature.structured_input_signature[1].values()
        empty = tf.zeros([0, *(20 if side is None else side for side in spec.shape[1:])], spec.dtype)
        answers = tf.function(signature)(**{spec.name: empty})  # a graph, as TensorFlow Serving runs it
        shapes[name] = shapes.get(name, []) + [list(value.shape) for value in answers.values()]
    if callable(loaded):
        shapes["call"] = [list(tf.function(loaded)(tf.zeros([0, 20, 20, 3])).shape)]
print(json.dumps(shapes))
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network with the ImageNet stem, whose first convolution has no padding."""
    folder = tmp_path_factory.mktemp("exports") / "classifier"
    model = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), 3, SIDE)
    description = {"task": "classification", "class_names": ["a", "b", "c"], "preprocessing": PREPROCESSING}
    export(model, description, folder, ["saved_model", "serving", "onnx"])
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "detector"
    network = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
    config = DetectorConfig(anchor_base=16.0, anchor_scales=(1.0,), proposal_filters=4, num_proposals=3, crop_size=4, num_detections=5)
    description = {"task": "detection", "class_names": ["a"], "category_ids": [7], "image_size": 64}
    export_detector(build_detector(network, config, 1), description, folder)
    return folder


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_every_signature_answers_an_empty_batch(classifier, detector, onednn):
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", SCRIPT, str(classifier), str(classifier / "serving" / "1"), str(detector)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    shapes = json.loads(result.stdout)
    assert set(shapes) == {"serving_default", "classify_encoded", "image_feature_vector", "call", "detect_encoded"}
    assert all(shape[0] == 0 for found in shapes.values() for shape in found)
    assert shapes["call"] == [[0, 3]]


def test_an_empty_list_of_images_gives_an_empty_list(classifier, detector):
    for is_trusted in (False, True):
        found = load_classifier(classifier, trust_graph=is_trusted)
        assert found([]) == found.probabilities([]) == []
    found = load_detector(detector)
    assert found([]) == found.answers([]) == []
    session = engines.open_session(classifier / "onnx" / "float32.onnx")
    assert session.run(["logits"], {"images": np.zeros([0, SIDE, SIDE, 3], np.float32)})[0].shape == (0, 3)


def test_the_answer_for_an_image_does_not_depend_on_its_batch(classifier):
    images = np.random.default_rng(0).random([3, SIDE, SIDE, 3], np.float32)
    loaded = tf.saved_model.load(str(classifier)).signatures["serving_default"]
    together = loaded(images=tf.constant(images))["logits"]
    assert together.shape == (3, 3)
    np.testing.assert_allclose(together[:1], loaded(images=tf.constant(images[:1]))["logits"], rtol=1e-4, atol=1e-6)
