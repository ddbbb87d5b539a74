"""Convolutions as the paper uses them: ReLU, convolution, batch normalization, in this order (appendix A.4)."""

import math

import keras
import tensorflow as tf

from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle


def slim_stddev(shape: tuple[int, ...]) -> float:
    """Of a kernel's initial weights: variance scaling of TF-slim, factor 2, fan-out, with its constant 1.3 for the truncated tails.

    shape: [height, width, in, out] of a convolution; [height, width, in, 1] of a depthwise one, whose fan-out is height * width; or
      [in, out].
    """
    return math.sqrt(1.3 * 2.0 * shape[-2] / math.prod(shape))


def slim_initializer(shape: tuple[int, ...]) -> keras.initializers.Initializer:
    """The truncated normal distribution of `slim_stddev`."""
    return keras.initializers.TruncatedNormal(stddev=slim_stddev(shape))


def add_kernel(layer: keras.layers.Layer, name: str, shape: tuple[int, ...]):
    """A kernel as `slim_initializer` takes it."""
    return layer.add_weight(name=name, shape=shape, initializer=slim_initializer(shape))


class ConvBn(Composite):
    """[ReLU,] convolution without bias, batch normalization.

    float [batch, height, width, in] -> float [batch, ceil(height / stride), ceil(width / stride), filters] ("same" padding).
    """

    def __init__(self, filters: int, style: LayerStyle, kernel_size=(1, 1), stride=1, activation=True, padding="SAME", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.style, self.kernel_size, self.activation, self.padding = filters, style, kernel_size, activation, padding
        self.strides = (stride, stride) if isinstance(stride, int) else stride
        self.bn = BatchNorm(style, name="bn")

    def build(self, input_shape):
        self.kernel = add_kernel(self, "kernel", (*self.kernel_size, input_shape[-1], self.filters))
        self.bn.build((None, None, None, self.filters))
        super().build(input_shape)

    def call(self, inputs):
        return self.bn(self.convolve(self.style.activation(inputs) if self.activation else inputs))

    def convolve(self, hidden):
        return tf.nn.conv2d(hidden, self.kernel, self.strides, self.padding)


class SeparableConv(Composite):
    """A depthwise-separable convolution applied twice, the stride in the first; nothing between depthwise and pointwise part."""

    def __init__(self, filters: int, style: LayerStyle, kernel_size: int, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.style, self.kernel_size, self.strides = filters, style, kernel_size, (stride, 1)
        self.bn_1, self.bn_2 = BatchNorm(style, name="bn_1"), BatchNorm(style, name="bn_2")

    def build(self, input_shape):
        size = self.kernel_size
        self.depthwise_1 = add_kernel(self, "depthwise_1_kernel", (size, size, input_shape[-1], 1))
        self.pointwise_1 = add_kernel(self, "pointwise_1_kernel", (1, 1, input_shape[-1], self.filters))
        self.depthwise_2 = add_kernel(self, "depthwise_2_kernel", (size, size, self.filters, 1))
        self.pointwise_2 = add_kernel(self, "pointwise_2_kernel", (1, 1, self.filters, self.filters))
        for bn in (self.bn_1, self.bn_2):
            bn.build((None, None, None, self.filters))
        super().build(input_shape)

    def call(self, inputs):
        hidden = inputs
        parts = ((self.depthwise_1, self.pointwise_1, self.bn_1), (self.depthwise_2, self.pointwise_2, self.bn_2))
        for (depthwise, pointwise, bn), stride in zip(parts, self.strides, strict=True):
            hidden = self.style.activation(hidden)
            # tf.nn.depthwise_conv2d would prepare for dilation, with as many ops again.
            depthwise = tf.convert_to_tensor(depthwise)
            hidden = tf.raw_ops.DepthwiseConv2dNative(input=hidden, filter=depthwise, strides=(1, stride, stride, 1), padding="SAME")
            hidden = bn(tf.nn.conv2d(hidden, pointwise, 1, "SAME"))
        return hidden


class FactorizedConv(Composite):
    """1xn, then nx1 convolution between a 1x1 convolution that narrows the hidden state and one that widens it again, each with ReLU and
    batch normalization; the stride is split between the two in the middle.

    Deviation: the paper says "1xn then nx1 convolution" and no more. The narrow middle is that of Google's later code of the same
    lineage (tensorflow/tpu, amoeba_net); with it the published counts of NASNet-B and -C come nearest (`python -m nasnet_tf.costs`;
    without it NASNet-C has 6.4M parameters on ImageNet instead of the published 4.9M).
    """

    _MIDDLE = {3: 3 / 8, 7: 1 / 4}  # of the filters, by kernel size

    def __init__(self, filters: int, style: LayerStyle, kernel_size: int, stride=1, **kwargs):
        super().__init__(**kwargs)
        middle = max(1, int(filters * self._MIDDLE[kernel_size]))
        self.steps = [
            ConvBn(middle, style, name="narrow"),
            ConvBn(middle, style, (1, kernel_size), (1, stride), name="row"),
            ConvBn(middle, style, (kernel_size, 1), (stride, 1), name="column"),
            ConvBn(filters, style, name="widen"),
        ]

    def build(self, input_shape):
        channels = input_shape[-1]
        for step in self.steps:
            step.build((None, None, None, channels))
            channels = step.filters
        super().build(input_shape)

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return inputs


class DilatedConv(ConvBn):
    """ReLU, 3x3 convolution with dilation rate 2, batch normalization.

    At stride 2 the taps of such a kernel fall on every second pixel only, so it is a plain 3x3 convolution of the subsampled input.
    TensorFlow's CPU has no gradient of dilated convolution without oneDNN; space-to-batch (atrous_conv2d) works everywhere.
    """

    def __init__(self, filters: int, style: LayerStyle, stride=1, **kwargs):
        super().__init__(filters, style, (3, 3), stride, **kwargs)

    def convolve(self, hidden):
        if self.strides == (2, 2):
            return tf.nn.conv2d(hidden[:, ::2, ::2], self.kernel, 1, "SAME")
        return tf.nn.atrous_conv2d(hidden, self.kernel, rate=2, padding="SAME")
