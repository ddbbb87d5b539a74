"""Checks that frozen layers stay frozen when a network is stored or copied."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.layers.normalization import BatchNorm
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.variations import freeze_layers
from nasnet_tf.testing import tiny_genotype

CONFIG = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)


def all_but_the_classifier(model):
    freeze_layers(model, True)


def up_to_a_cell(model):
    freeze_layers(model, "cell_1")


def batch_normalization(model):
    for layer in model._flatten_layers():
        layer.trainable = layer.trainable and not isinstance(layer, BatchNorm)


def everything(model):
    model.trainable = False


def nothing(model):
    pass


def by_keras_file(model, folder):
    model.save(folder / "a.keras")
    return keras.saving.load_model(folder / "a.keras")


def by_h5_file(model, folder):
    model.save(folder / "a.h5")
    return keras.saving.load_model(folder / "a.h5")


def by_checkpoint(model, folder):
    callback = keras.callbacks.ModelCheckpoint(str(folder / "best.keras"))
    callback.set_model(model)
    callback.on_epoch_end(0, {})
    return keras.saving.load_model(folder / "best.keras")


COPIES = {
    "keras": by_keras_file,
    "h5": by_h5_file,
    "checkpoint": by_checkpoint,
    "clone_model": lambda model, folder: keras.models.clone_model(model),
    "from_config": lambda model, folder: keras.Model.from_config(model.get_config()),
    "json": lambda model, folder: keras.models.model_from_json(model.to_json()),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
}


def trainable(model):
    return [weight.path for weight in model.trainable_weights]


def set_trainable(model, value):
    model.trainable = value
    for layer in model.layers:  # Keras does not set the layers if the model already has this value
        layer.trainable = value


@pytest.fixture(scope="module")
def network():
    return build_network(tiny_genotype(), CONFIG, 3, 8)


@pytest.fixture
def model(network):
    set_trainable(network, True)
    return network


WAYS_TO_FREEZE = [all_but_the_classifier, up_to_a_cell, batch_normalization, everything, nothing]


@pytest.mark.parametrize(
    ("freeze", "way"),
    [*((freeze, "keras") for freeze in WAYS_TO_FREEZE), *((batch_normalization, way) for way in COPIES if way != "keras")],
)
def test_a_copy_has_the_frozen_layers_of_the_network(model, freeze, way, tmp_path):
    freeze(model)
    expected = trainable(model)
    new = COPIES[way](model, tmp_path)
    assert trainable(new) == expected
    for old_layer, new_layer in zip(model._flatten_layers(), new._flatten_layers(), strict=True):
        assert not old_layer.weights or (old_layer.name, old_layer.trainable) == (new_layer.name, new_layer.trainable)
    set_trainable(new, True)
    assert len(trainable(new)) > len(expected) or freeze is nothing
    set_trainable(new, False)
    assert trainable(new) == []
    assert not any(layer.trainable for layer in new._flatten_layers() if layer.weights and layer is not new)


def test_a_saved_training_resumes_with_its_frozen_layers(model, tmp_path):
    freeze_layers(model, True)
    trained = keras.Model(model.input, model.output["logits"])
    trained.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    images, labels = tf.random.stateless_normal([6, 8, 8, 3], [1, 2]), tf.constant([0, 1, 2] * 2)
    trained.fit(images, labels, verbose=0)
    trained.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert trainable(again) == ["logits/kernel", "logits/bias"]
    assert len(again.optimizer.variables) == len(trained.optimizer.variables)
    for old, new in zip(trained.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy(), err_msg=old.path)
    before = {weight.path: weight.numpy() for weight in again.weights}
    again.fit(images, labels, verbose=0)
    changed = [weight.path for weight in again.weights if not np.array_equal(weight.numpy(), before[weight.path])]
    assert changed == ["logits/kernel", "logits/bias"]
