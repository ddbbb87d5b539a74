"""The paper's convolutions: each is ReLU, convolution, batch normalization, in this order (appendix A.4)."""

import math

import keras
import tensorflow as tf

from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle


def slim_stddev(shape: tuple[int, ...]) -> float:
    """Returns the standard deviation of a kernel's initial weights: TF-slim's variance scaling with factor 2 and fan-out.

    The constant 1.3 is slim's, and makes up for the truncated tails of the distribution.

    Args:
      shape: [height, width, in, out] of a convolution, [height, width, in, 1] of a depthwise convolution, whose fan-out is
        height * width, or [in, out] of a dense layer.
    """
    return math.sqrt(1.3 * 2.0 * shape[-2] / math.prod(shape))


def slim_initializer(shape: tuple[int, ...]) -> keras.initializers.Initializer:
    """Returns a truncated normal initializer with the standard deviation of `slim_stddev`."""
    return keras.initializers.TruncatedNormal(stddev=slim_stddev(shape))


def add_kernel(layer: keras.layers.Layer, name: str, shape: tuple[int, ...]):
    """Adds a kernel to a layer, initialized by `slim_initializer`."""
    return layer.add_weight(name=name, shape=shape, initializer=slim_initializer(shape))


class ConvBn(Composite):
    """A convolution without bias between an optional ReLU and batch normalization.

    float [batch, height, width, in] -> float [batch, ceil(height / stride), ceil(width / stride), filters] with "SAME" padding.

    Args:
      filters: output channels.
      style: settings shared by all layers.
      kernel_size: (height, width) of the kernel.
      stride: one stride for both directions, or (vertical, horizontal).
      activation: True to apply ReLU first.
      padding: "SAME" or "VALID".
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
        """Returns the convolution alone, without ReLU and batch normalization."""
        return tf.nn.conv2d(hidden, self.kernel, self.strides, self.padding)


class SeparableConv(Composite):
    """A depthwise-separable convolution applied twice: [ReLU, depthwise, pointwise, batch normalization] x 2.

    Only the first has the stride. float [batch, height, width, in] -> float [batch, ceil(height / stride), ceil(width / stride), filters].
    """

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
            # tf.nn.depthwise_conv2d would double the number of ops, because it handles dilation too.
            depthwise = tf.convert_to_tensor(depthwise)
            hidden = tf.raw_ops.DepthwiseConv2dNative(input=hidden, filter=depthwise, strides=(1, stride, stride, 1), padding="SAME")
            hidden = bn(tf.nn.conv2d(hidden, pointwise, 1, "SAME"))
        return hidden


class FactorizedConv(Composite):
    """A bottleneck of four convolutions, each with ReLU and batch normalization: 1x1 to fewer channels, 1xn, nx1, 1x1 to `filters`.

    The 1xn convolution has the horizontal stride and the nx1 convolution the vertical one.
    float [batch, height, width, in] -> float [batch, ceil(height / stride), ceil(width / stride), filters].

    Deviation: the paper says only "1xn then nx1 convolution". The narrow middle follows Google's later code of the same family
    (tensorflow/tpu, amoeba_net). With it, our counts come nearest to the published ones of NASNet-B and -C (`python -m nasnet_tf.costs`).
    Without it, NASNet-C has 6.4M parameters on ImageNet instead of the published 4.9M.
    """

    _MIDDLE = {3: 3 / 8, 7: 1 / 4}  # channels of the middle / filters, by kernel size

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

    With stride 2, the kernel reads only every second pixel, so the layer is a plain 3x3 convolution of the subsampled input.

    With stride 1, it uses atrous_conv2d (space-to-batch), which works everywhere. TensorFlow without oneDNN has no gradient of the dilated
    convolution op on CPUs.
    """

    def __init__(self, filters: int, style: LayerStyle, stride=1, **kwargs):
        super().__init__(filters, style, (3, 3), stride, **kwargs)

    def convolve(self, hidden):
        if self.strides == (2, 2):
            return tf.nn.conv2d(hidden[:, ::2, ::2], self.kernel, 1, "SAME")
        return tf.nn.atrous_conv2d(hidden, self.kernel, rate=2, padding="SAME")
