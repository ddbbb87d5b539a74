"""Changing the size of a hidden state: factorized reduction (as in TF-slim, nasnet_utils.factorized_reduction)."""

import keras
import tensorflow as tf

from nasnet_tf.layers.convolutions import add_kernel
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle


class FactorizedReduction(keras.layers.Layer):
    """[ReLU,] two 1x1 convolutions of stride 2, one on the even pixels, one on the odd, side by side; batch normalization.

    float [batch, height, width, in] -> float [batch, ceil(height / 2), ceil(width / 2), filters].
    """

    def __init__(self, filters: int, style: LayerStyle, activation: bool, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.style, self.activation = filters, style, activation
        self.bn = BatchNorm(style, name="bn")

    def build(self, input_shape):
        half = self.filters // 2
        self.even = add_kernel(self, "even_kernel", (1, 1, input_shape[-1], half))
        self.odd = add_kernel(self, "odd_kernel", (1, 1, input_shape[-1], self.filters - half))
        self.bn.build((None, None, None, self.filters))
        self.built = True

    def call(self, inputs):
        hidden = self.style.activation(inputs) if self.activation else inputs
        # An odd size has one odd pixel less than even ones: slim fills up with zeros at the bottom and right.
        height, width = (static or dynamic for static, dynamic in zip(inputs.shape[1:3], tf.unstack(tf.shape(inputs))[1:3], strict=True))
        odd_pixels = tf.pad(hidden[:, 1::2, 1::2], [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
        even = tf.nn.conv2d(hidden, self.even, 2, "VALID")
        odd = tf.nn.conv2d(odd_pixels, self.odd, 1, "VALID")
        return self.bn(tf.concat([even, odd], axis=-1))
