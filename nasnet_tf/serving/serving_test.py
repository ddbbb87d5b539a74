"""Export, reload, and load_nasnet."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.errors import InputError
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving import saved_model
from nasnet_tf.serving.convert_weights import load_slim_checkpoint, slim_names
from nasnet_tf.serving.hub import load_nasnet
from nasnet_tf.testing import tiny_genotype

CONFIG = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)


@pytest.fixture(scope="module")
def network():
    model = build_network(tiny_genotype(), CONFIG, 10, 8)
    for index, weight in enumerate(model.weights):
        weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 1]) / 10)
    return model


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    data = ImageData("digits", CifarPreprocessing(image_size=8, flip=False))
    path = tmp_path_factory.mktemp("exports") / "tiny"
    saved_model.export(network, data.description(), path)
    return path


def test_export_gives_the_same_answers_everywhere(network, folder):
    raw = tf.random.stateless_uniform([2, 8, 8, 3], [1, 2])
    encoded = [tf.io.encode_png(tf.cast(tf.round(image * 255), tf.uint8)).numpy() for image in raw]
    preprocessing = CifarPreprocessing(image_size=8)
    images = tf.stack([preprocessing.evaluate(content) for content in encoded])
    expected = network(images, training=False)["logits"]

    np.testing.assert_allclose(load_nasnet(str(folder))(images), expected, rtol=1e-5, atol=1e-6)
    loaded = tf.saved_model.load(str(folder))
    unit = tf.stack([tf.cast(tf.io.decode_png(content), tf.float32) / 255 for content in encoded])
    np.testing.assert_allclose(loaded(unit), expected, rtol=1e-4, atol=1e-5)
    answers = loaded.signatures["serving_default"](images=unit)
    np.testing.assert_allclose(answers["logits"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers["probabilities"], tf.nn.softmax(expected), rtol=1e-4, atol=1e-5)
    probabilities = saved_model.load_classifier(folder)(encoded, ["a", "b"])
    np.testing.assert_allclose(probabilities, tf.nn.softmax(expected), rtol=1e-4, atol=1e-5)


def test_export_can_be_fine_tuned(folder):
    loaded = tf.saved_model.load(str(folder))
    before = [variable.numpy() for variable in loaded.variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(tf.ones([2, 8, 8, 3]) * [[[[0.1, 0.5, 0.9]]]], training=True) ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    assert sum(gradient is not None for gradient in gradients) == len(loaded.trainable_variables)
    changed = sum(not np.array_equal(old, variable.numpy()) for old, variable in zip(before, loaded.variables, strict=True))
    assert changed > 0  # moving statistics


def test_export_never_overwrites(network, folder):
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        saved_model.export(network, ImageData("digits", CifarPreprocessing(8)).description(), folder)


def test_load_nasnet_by_name():
    model = nasnet_tf.load_nasnet("cifar", weights=None)
    assert isinstance(model, keras.Model)
    assert (model.input.shape, model.output.shape) == ((None, 32, 32, 3), (None, 10))


def test_load_nasnet_refusals(tmp_path, folder):
    with pytest.raises(InputError, match="pass weights=None for fresh ones"):
        load_nasnet("mobile")
    with pytest.raises(InputError, match="no such folder, and not one of the names mobile, large, cifar"):
        load_nasnet(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="holds no trained network; expected a file model.json"):
        load_nasnet(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be loaded as a SavedModel"):
        saved_model.load_classifier(tmp_path)


def test_slim_checkpoint_that_does_not_fit(tmp_path):
    model = build_network("nasnet_a", NetworkConfig(1, "cifar", 3.0, filters=4), 3, 8)
    names = slim_names(model)
    assert len(set(names.values())) == len(model.weights)
    variables = {name: tf.Variable(weight.value) for name, weight in ((names[weight.path], weight) for weight in model.weights)}
    variables["final_layer/FC/biases"] = tf.Variable(tf.zeros([4]))
    del variables["cell_0/1x1/weights"]
    path = tf.compat.v1.train.Saver(variables).save(None, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(InputError) as caught:
        load_slim_checkpoint(model, path)
    assert "cell_0/1x1/weights is missing" in str(caught.value)
    assert "final_layer/FC/biases has shape (4,), expected (3,)" in str(caught.value)
    assert all(np.array_equal(old, weight.numpy()) for old, weight in zip(before, model.weights, strict=True))
    with pytest.raises(InputError, match="not a readable TensorFlow checkpoint"):
        load_slim_checkpoint(model, str(tmp_path / "other.ckpt"))
    with pytest.raises(InputError, match="has no counterpart in TF-slim"):
        slim_names(build_network(tiny_genotype(), NetworkConfig(1, "cifar", 3.0, filters=4), 3, 8))
