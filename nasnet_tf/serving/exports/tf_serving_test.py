"""Tests of SavedModel exports: their answers, fine-tuning, and folders that are refused."""

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.serving.exports import saved_model
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.load import load_nasnet


def test_export_gives_the_same_answers_everywhere(tiny_network, tiny_export):
    raw = tf.random.stateless_uniform([2, 8, 8, 3], [1, 2])
    encoded = [tf.io.encode_png(tf.cast(tf.round(image * 255), tf.uint8)).numpy() for image in raw]
    preprocessing = CifarPreprocessing(image_size=8)
    images = tf.stack([preprocessing.evaluate(content) for content in encoded])
    expected = tiny_network(images, training=False)["logits"]

    np.testing.assert_allclose(load_nasnet(str(tiny_export))(images), expected, rtol=1e-5, atol=1e-6)
    loaded = tf.saved_model.load(str(tiny_export))
    unit = tf.stack([tf.cast(tf.io.decode_png(content), tf.float32) / 255 for content in encoded])
    np.testing.assert_allclose(loaded(unit), expected, rtol=1e-4, atol=1e-5)
    answers = loaded.signatures["serving_default"](images=unit)
    np.testing.assert_allclose(answers["logits"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers["probabilities"], tf.nn.softmax(expected), rtol=1e-4, atol=1e-5)
    classifier = load_classifier(tiny_export)
    assert classifier.class_names == [str(digit) for digit in range(10)]
    np.testing.assert_allclose(classifier.probabilities(encoded), tf.nn.softmax(expected), rtol=1e-4, atol=1e-5)


def test_export_can_be_fine_tuned(tiny_export):
    loaded = tf.saved_model.load(str(tiny_export))
    before = [variable.numpy() for variable in loaded.variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(tf.ones([2, 8, 8, 3]) * [[[[0.1, 0.5, 0.9]]]], training=True) ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    assert sum(gradient is not None for gradient in gradients) == len(loaded.trainable_variables)
    with tf.GradientTape() as tape:
        (decay,) = loaded.regularization_losses
        penalty = decay()
    kernels = [variable for variable in loaded.trainable_variables if variable.shape.rank > 1]
    assert float(penalty) == pytest.approx(5e-4 * sum(float(tf.reduce_sum(kernel**2)) / 2 for kernel in kernels), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(penalty, kernels)[0], 5e-4 * kernels[0], rtol=1e-5)
    changed = sum(not np.array_equal(old, variable.numpy()) for old, variable in zip(before, loaded.variables, strict=True))
    assert changed > 0  # moving statistics


def test_export_never_overwrites(tiny_network, tiny_export):
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        export(tiny_network, ImageData("digits", CifarPreprocessing(8)).description(), tiny_export)


def test_folders_that_are_no_export_are_refused(tmp_path, tiny_export):
    with pytest.raises(InputError, match="holds no trained network; expected a file model.json"):
        load_nasnet(str(tmp_path))
    for name in saved_model.DESCRIPTIONS:
        (tmp_path / name).write_bytes((tiny_export / name).read_bytes())
    (tmp_path / "saved_model.pb").write_bytes((tiny_export / "saved_model.pb").read_bytes()[:100])
    with pytest.raises(InputError, match="variables/variables: cannot be read"):
        load_classifier(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded as a SavedModel"):
        load_classifier(tmp_path, trust_graph=True)
