"""Tests of empty batches, which a client that filters its pictures may send, with and without oneDNN's convolutions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.serving.exports import engines
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.detector import load_detector

SIDE = 20
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


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_every_signature_answers_an_empty_batch(all_formats, tiny_detector, onednn):
    """The first convolution of the ImageNet stem has no padding."""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", SCRIPT, str(all_formats), str(all_formats / "serving" / "3"), str(tiny_detector)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    shapes = json.loads(result.stdout)
    assert set(shapes) == {"serving_default", "classify_encoded", "image_feature_vector", "call", "detect_encoded"}
    assert all(shape[0] == 0 for found in shapes.values() for shape in found)
    assert shapes["call"] == [[0, 3]]


def test_an_empty_list_of_images_gives_an_empty_list(all_formats, tiny_detector):
    for is_trusted in (False, True):
        found = load_classifier(all_formats, trust_graph=is_trusted)
        assert found([]) == found.probabilities([]) == []
    found = load_detector(tiny_detector)
    assert found([]) == found.answers([]) == []
    session = engines.open_session(all_formats / "onnx" / "float32.onnx")
    assert session.run(["logits"], {"images": np.zeros([0, SIDE, SIDE, 3], np.float32)})[0].shape == (0, 3)


def test_the_answer_for_an_image_does_not_depend_on_its_batch(all_formats):
    images = np.random.default_rng(0).random([3, SIDE, SIDE, 3], np.float32)
    loaded = tf.saved_model.load(str(all_formats)).signatures["serving_default"]
    together = loaded(images=tf.constant(images))["logits"]
    assert together.shape == (3, 3)
    np.testing.assert_allclose(together[:1], loaded(images=tf.constant(images[:1]))["logits"], rtol=1e-4, atol=1e-6)
