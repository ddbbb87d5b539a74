"""Factorized reduction, which halves the height and width of a hidden state (as in TF-slim, nasnet_utils.factorized_reduction)."""

import tensorflow as tf

from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.convolutions import add_kernel
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle

_LAST_OF_2X2 = [[1, 0], [1, 0], [0, 0], [0, 0]]  # padding that puts a 1x1 kernel at the bottom right of a 2x2 kernel


class FactorizedReduction(Composite):
    """Halves height and width: [ReLU,] 1x1 convolutions with stride 2 on even and on odd pixels, concatenation, batch normalization.

    float [batch, height, width, in] -> float [batch, ceil(height / 2), ceil(width / 2), filters].

    Args:
      filters: output channels, half of them from even and half from odd pixels.
      style: settings shared by all layers.
      activation: True to apply ReLU first.
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
        # A 2x2 kernel reads the odd pixels. On CPUs, a strided slice and its gradient would cost several times as much as the convolution.
        # A side of odd length has one odd pixel fewer than even ones. Slim pads it with zeros at the bottom and right; so does "SAME".
        odd = tf.nn.conv2d(hidden, tf.pad(tf.convert_to_tensor(self.odd), _LAST_OF_2X2), 2, "SAME")
        return self.bn(tf.concat([even, odd], axis=-1))
