"""Tests that classifiers and detectors can be pickled for other processes."""

import multiprocessing
import pickle

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.detector import Detector
from nasnet_tf.testing import png, tiny_genotype

PICTURES = [png(np.full([8, 8, 3], level)) for level in (0, 120, 255)]


@pytest.mark.parametrize("trust_graph", [False, True])
def test_a_classifier_can_be_pickled(tiny_export, trust_graph, monkeypatch):
    monkeypatch.chdir(tiny_export.parent)
    classify = load_classifier(f"./{tiny_export.name}", trust_graph=trust_graph)
    expected = classify(PICTURES)  # traced from here on
    content = pickle.dumps(classify)
    monkeypatch.chdir("/")
    again = pickle.loads(content)
    assert [[each.name for each in row] for row in again(PICTURES)] == [[each.name for each in row] for row in expected]
    np.testing.assert_allclose(again.probabilities(PICTURES), classify.probabilities(PICTURES), atol=1e-6)


def test_a_pickled_classifier_of_a_compiled_network_has_no_optimizer(tiny_network):
    model = tf.keras.Model(tiny_network.input, tiny_network.output["logits"])
    plain = len(pickle.dumps(load_classifier(model, class_names=list("0123456789"))))
    model.compile("adam", lambda labels, logits: tf.reduce_mean(logits), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    content = pickle.dumps(load_classifier(model, class_names=list("0123456789")))
    assert len(content) < 1.1 * plain
    assert not pickle.loads(content).network.compiled


def test_a_spawned_process_uses_a_pickled_classifier(tiny_export):
    classify = load_classifier(tiny_export)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (names,) = pool.map(classify, [PICTURES[0]])
    assert [each.name for each in names] == [each.name for each in classify(PICTURES[0])]


def test_a_detector_can_be_pickled():
    backbone = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
    config = DetectorConfig(
        anchor_base=32.0, anchor_scales=(0.5, 1.0), proposal_filters=8, num_proposals=12, crop_size=4, num_detections=10
    )
    detect = Detector(build_detector(backbone, config, 2), ["ant", "bee"], [1, 2], 64)
    picture = np.random.default_rng(0).integers(0, 255, [64, 64, 3]).astype(np.uint8)
    again = pickle.loads(pickle.dumps(detect))
    boxes = [[each.box for each in one(picture, 0.0)] for one in (again, detect)]
    np.testing.assert_allclose(*boxes, atol=1e-3)
