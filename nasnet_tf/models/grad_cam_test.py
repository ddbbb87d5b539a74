"""Checks Grad-CAM against its definition, with gradients of the whole hidden state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.genotype import load_genotype
from nasnet_tf.layers.normalization import LayerStyle
from nasnet_tf.models.grad_cam import grad_cam
from nasnet_tf.models.heads import GlobalPool
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import smallest_genotype

IMAGES = tf.random.stateless_normal([3, 24, 16, 3], [0, 1])


def defined(states, logits_of, numbers):
    """Returns equations 1 and 2 of the paper for a feature map.

    Args:
      states: float [batch, height, width, channels].
      logits_of: function from states to logits.
      numbers: class of each image.
    """
    with tf.GradientTape() as tape:
        tape.watch(states)
        scores = tf.gather(logits_of(states), numbers, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(scores, states), [1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * states, -1))


@pytest.mark.parametrize("name", ["smallest", "nasnet_b"])  # the classifier of nasnet_b reads several states
def test_maps_follow_the_definition(name):
    genotype = smallest_genotype() if name == "smallest" else load_genotype(name)
    config = NetworkConfig(1, "cifar", 1.0, filters=4, dropout_rate=0.5)
    model = build_network(genotype, config, 5, (24, 16))
    pool, logits = model.get_layer("global_pool"), model.get_layer("logits")
    states = keras.Model(model.input, pool.input)(IMAGES)
    states = tf.nn.relu(tf.concat(states, -1) if isinstance(states, list) else states)
    kernel, bias = (tf.constant(weight.numpy()) for weight in logits.weights)
    numbers = tf.constant([4, 0, 2])
    expected = defined(states, lambda states: tf.reduce_mean(states, [1, 2]) @ kernel + bias, numbers)
    keras.utils.clear_session()  # the next layer would get the name of one in the network
    maps, found = grad_cam(model)(IMAGES, numbers)
    assert maps.shape == (3, 6, 4)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(maps, 6 * 4 * expected, rtol=1e-4, atol=1e-6)  # the factor undoes the mean over pixels
    np.testing.assert_allclose(found, model(IMAGES), rtol=1e-5)
    most_probable, _ = grad_cam(model)(IMAGES, tf.constant([-1, -1, 2]))
    chosen, _ = grad_cam(model)(IMAGES, tf.constant([*np.argmax(found, 1)[:2], 2], tf.int32))
    np.testing.assert_allclose(most_probable, chosen)


def test_max_pooling_and_a_head_of_several_layers():
    images = keras.Input((8, 8, 3))
    hidden = keras.layers.Dense(6)(images)
    features = GlobalPool(LayerStyle(0.9, 1e-3), "max")(hidden)
    head = keras.Sequential([keras.Input([6]), keras.layers.Dense(7, "tanh"), keras.layers.Dense(4)])
    model = keras.Model(images, head(features))
    states = tf.nn.relu(keras.Model(images, hidden)(IMAGES[:, :8, :8]))
    numbers = tf.constant([0, 1, 3])
    expected = defined(states, lambda states: head(tf.reduce_max(states, [1, 2])), numbers)
    np.testing.assert_allclose(grad_cam(model)(IMAGES[:, :8, :8], numbers)[0], 64 * expected, rtol=1e-4, atol=1e-6)
