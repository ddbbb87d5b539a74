"""The variables of a model by name.

TensorFlow's checkpoints find variables by the order in which a model holds its layers. A model that was rebuilt from its description may
hold them in another order, and cells of equal shape would then exchange their weights without a word. Names cannot be mistaken.
"""

import keras
import tensorflow as tf

from nasnet_tf.layers.stochastic import stochastic_layers


def named_weights(model: keras.Model) -> dict[str, tf.Variable]:
    """Every weight by its path, which starts with its layer's name: "cell_0/block_1_left/bn_1/gamma"."""
    weights = {weight.path: weight.value for weight in model.weights}
    assert len(weights) == len(model.weights), "two weights of one path"
    return weights


def named_counters(model: keras.Model) -> dict[str, tf.Variable]:
    """What drop path and dropout have used of their random numbers, by layer."""
    return {layer.name: layer.counter for layer in stochastic_layers(model)}
