"""A small network and its export for the tests of `serving`. A test that changes the export must copy it first."""

import pytest
import tensorflow as tf

from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.testing import tiny_genotype


@pytest.fixture(scope="session")
def tiny_network():
    """A network of 10 classes for 8 x 8 pixels, with auxiliary head, drop path and dropout. Every weight differs from its initial value."""
    config = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)
    model = build_network(tiny_genotype(), config, 10, 8)
    for index, weight in enumerate(model.weights):
        weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 1]) / 10)
    return model


@pytest.fixture(scope="session")
def tiny_export(tiny_network, tmp_path_factory):
    """The folder of tiny_network as a SavedModel; its classes are the digits."""
    path = tmp_path_factory.mktemp("exports") / "tiny"
    export(tiny_network, ImageData("digits", CifarPreprocessing(image_size=8, flip=False)).description(), path)
    return path
