"""Tests of batch normalization's momentum: fresh networks suit a short training, and the option reaches every layer of any source."""

import keras
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.normalization import BatchNorm, StyledLayer
from nasnet_tf.models.description import config_of
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.hub.naming import list_models, resolve
from nasnet_tf.serving.weights.convert import to_keras_applications
from nasnet_tf.testing import smallest_genotype

SIZE = {"name_or_path": "1 @ 64", "weights": None, "genotype": smallest_genotype(), "stem": "imagenet", "image_size": 20, "num_classes": 2}


def momenta(model):
    """Returns the momenta of all layers of a network."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, (StyledLayer, BatchNorm))]
    assert any(isinstance(layer, BatchNorm) for layer in layers)
    return {layer.style.batch_norm_momentum for layer in layers}


def test_a_short_training_of_a_fresh_network_validates_as_it_trains():
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = random.normal(0, 0.5, [64, 20, 20, 3]) + labels[:, None, None, None]
    model = load_nasnet(**SIZE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(images, labels, batch_size=8, epochs=4, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert model.evaluate(images, labels, verbose=0)[1] > 0.9


def test_fresh_weights_have_another_default_than_public_ones():
    for name in list_models():
        source, row = resolve(name), ZOO[name].config
        assert source.config == row
        assert source.fresh_config.batch_norm_momentum == NetworkConfig.batch_norm_momentum == 0.9
        assert row.batch_norm_momentum == (0.9997 if row.stem == "imagenet" else 0.9)  # slim's
    assert momenta(load_nasnet(**SIZE)) == {0.9}
    given = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=64, batch_norm_momentum=0.9997)
    assert momenta(load_nasnet(**SIZE, config=given)) == {0.9997}  # a whole configuration is used as it is


def test_the_option_reaches_every_layer_and_every_copy(tmp_path):
    model = load_nasnet(**SIZE, batch_norm_momentum=0.6)
    assert config_of(model).batch_norm_momentum == 0.6
    model.save(tmp_path / "network.keras")
    for each in (model, keras.models.load_model(tmp_path / "network.keras"), keras.models.clone_model(model)):
        assert momenta(each) == {0.6}


def test_a_path_takes_the_option_and_keeps_its_weights(tiny_export):
    model, old = load_nasnet(tiny_export, batch_norm_momentum=0.7), load_nasnet(tiny_export)
    assert (momenta(model), momenta(old)) == ({0.7}, {0.8})
    for ours, theirs in zip(model.weights, old.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_keras_applications_gets_the_momentum():
    model = build_network("nasnet_a", NetworkConfig(1, "imagenet", 1.0, filters=8, batch_norm_momentum=0.7), 3, 32)
    twin = to_keras_applications(model)
    assert {layer.momentum for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)} == {0.7}


@pytest.mark.parametrize("value", [1.0, -0.1, "0.9", True])
def test_values_that_are_no_momentum_are_refused(value):
    with pytest.raises(InputError, match=r"batch_norm_momentum: expected a number in \[0, 1\) or None, got "):
        load_nasnet(**SIZE, batch_norm_momentum=value)
