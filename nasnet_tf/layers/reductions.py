"""Changing the size of a hidden state: factorized reduction (as in TF-slim, nasnet_utils.factorized_reduction)."""

import tensorflow as tf

from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.convolutions import add_kernel
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle

_LAST_OF_2X2 = [[1, 0], [1, 0], [0, 0], [0, 0]]  # pads a 1x1 kernel


class FactorizedReduction(Composite):
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
        super().build(input_shape)

    def call(self, inputs):
        hidden = self.style.activation(inputs) if self.activation else inputs
        even = tf.nn.conv2d(hidden, self.even, 2, "VALID")
        # On the CPU, taking the odd pixels out with a strided slice costs several times what the convolution does; so does its gradient.
        # An odd size has one odd pixel less than even ones: slim fills up with zeros at the bottom and right, and so does "SAME".
        odd = tf.nn.conv2d(hidden, tf.pad(tf.convert_to_tensor(self.odd), _LAST_OF_2X2), 2, "SAME")
        return self.bn(tf.concat([even, odd], axis=-1))
