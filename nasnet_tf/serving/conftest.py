"""Small networks and their exports for the tests of `serving`. A test that changes an export must copy it first."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports import exporting
from nasnet_tf.serving.exports.exporting import FORMATS, export
from nasnet_tf.serving.exports.saved_detector import export_detector
from nasnet_tf.testing import smallest_genotype, tiny_genotype


def shifted(model):
    """Returns a network, of which every weight differs from its initial value."""
    for index, weight in enumerate(model.weights):
        weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 1]) / 10)
    return model


@pytest.fixture(scope="session")
def tiny_network():
    """A network of 10 classes for 8 x 8 pixels, with auxiliary head, drop path and dropout. Every weight differs from its initial value."""
    config = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)
    model = build_network(tiny_genotype(), config, 10, 8)
    return shifted(model)


@pytest.fixture(scope="session")
def tiny_export(tiny_network, tmp_path_factory):
    """The folder of tiny_network as a SavedModel; its classes are the digits."""
    path = tmp_path_factory.mktemp("exports") / "tiny"
    export(tiny_network, ImageData("digits", CifarPreprocessing(image_size=8, flip=False)).description(), path)
    return path


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory):
    """The folder of an untrained detector of one class for images of 64 x 64 pixels, as a SavedModel."""
    folder = tmp_path_factory.mktemp("exports") / "detector"
    network = build_network(smallest_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
    config = DetectorConfig(anchor_base=16.0, anchor_scales=(1.0,), proposal_filters=4, num_proposals=3, crop_size=4, num_detections=5)
    said = {"task": "detection", "source": "coco:/data/cells", "class_names": ["cell"], "category_ids": [7], "image_size": 64}
    export_detector(build_detector(network, config, 1), said, folder, [{"split": "test", "average_precision_50": -1.0, "examples": 2}])
    return folder


@pytest.fixture(scope="session")
def pictures():
    """The pictures that `all_formats` is checked on, float32 [20, 20, 20, 3] in [0, 1]."""
    return tf.image.resize(np.random.default_rng(5).random([20, 4, 4, 3], np.float32), [20, 20]).numpy()


@pytest.fixture(scope="session")
def network(pictures):
    """The network of `all_formats`, of 3 classes for 20 x 20 pixels, with the ImageNet stem. Tests must not change it."""
    keras.utils.set_random_seed(1)
    model = shifted(build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8, drop_path_rate=0.3), 3, 20))
    # The head is scaled so that the answers differ between pictures as much as a trained network's.
    head, logits = model.get_layer("logits"), model(2 * pictures - 1, training=False).numpy()
    factor = 2 / logits.std(0).mean()
    head.kernel.assign(head.kernel * factor)
    head.bias.assign((head.bias - logits.mean(0)) * factor)
    return model


@pytest.fixture(scope="session")
def all_formats(network, pictures, tmp_path_factory):
    """The folder of an export in all formats, with a license and evaluation results."""
    folder = tmp_path_factory.mktemp("exports") / "all"
    said = {
        "task": "classification",
        "source": "folder:/home/somebody/pet photos",
        "train_split": "train",
        "validation_split": None,
        "test_split": "test",
        "class_names": ["n02123045", "a|b", "*c*"],
        "preprocessing": {"kind": "imagenet", "image_size": 20},
        "license": "apache-2.0",
    }
    figures = [
        {"split": "test", "accuracy": 0.875, "loss": 0.5, "examples": 40, "step": 7, "checkpoint": "best", "ema": True},
        {"split": "validation", "epoch": 1.5, "step": 7, "accuracy": 0.75},
        {"accuracy": 0.125, "examples": 9},  # of an unknown split
    ]
    with pytest.MonkeyPatch.context() as patch:
        # Quantization changes the answers of untrained weights more than those of trained ones.
        patch.setattr(exporting, "_LEAST_AGREEMENT", 0.5)
        lenient = tuple(dataclasses.replace(row, most_difference=0.5) for row in FORMATS["tflite"])
        patch.setitem(FORMATS, "tflite", lenient)
        export(network, said, folder, list(FORMATS), pictures=pictures, version=3, evaluations=figures)
    return folder
