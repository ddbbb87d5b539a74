"""Tests that networks of the zoo are recognized by the weights in a file of any format."""

import dataclasses

import keras
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.weights.convert import save_weights
from nasnet_tf.serving.weights.recognition import parameters_before_classifier, recognized

CONFIG = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=192)


@pytest.fixture(scope="module")
def network():
    """A small network with an auxiliary head and 5 classes, as a user's own training makes it."""
    return build_network("nasnet_a", dataclasses.replace(CONFIG, auxiliary_head=True), 5, 32)


@pytest.fixture
def _in_zoo(network, monkeypatch):
    heads = [layer.count_params() for layer in network.layers if layer.name == "logits"]
    features = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights if "logits" not in weight.path)
    assert heads == [(192 + 1) * 5]
    row = dataclasses.replace(ZOO["mobile"], config=CONFIG, trainable_parameters=features + (192 + 1) * 1000)
    monkeypatch.setitem(ZOO, "small", row)


@pytest.mark.usefixtures("_in_zoo")
@pytest.mark.parametrize("name", ["a.ckpt", "a.h5", "a.weights.h5", "a.keras", "ours.h5", "ours.weights.h5", "ours.keras"])
def test_the_network_of_a_weights_file_is_recognized(network, name, tmp_path):
    path = tmp_path / name
    if name.startswith("ours"):
        model = keras.Model(network.input, network.output)
        model.compile("adam", jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        (model.save_weights if "weights" in name else model.save)(path)
    else:
        save_weights(network, path)
    assert recognized(path) == "small"
    cells, config = resolve(path).architecture()
    built = build_network(cells, config, 3, 32)
    resolve(path).load_features(built)
    np.testing.assert_array_equal(built.get_layer("stem").conv.kernel, network.get_layer("stem").conv.kernel)


def test_other_weights_are_not_recognized(network, tmp_path):
    save_weights(network, tmp_path / "a.ckpt")
    assert recognized(tmp_path / "a.ckpt") is None
    with pytest.raises(
        InputError,
        match=r"a.ckpt: its number of parameters fits no network .*; bind train.genotype and .* = @NetworkConfig\(\), with cells",
    ):
        resolve(tmp_path / "a.ckpt").architecture()


def test_the_networks_of_the_zoo_are_told_apart():
    counts = {key: parameters_before_classifier(row) for key, row in ZOO.items()}
    assert len(set(counts.values())) == len(ZOO)
    assert counts["mobile"] == 4_269_716 - 36_738  # keras.applications without top: all parameters less the untrained ones
