"""The 13 operations of the search space (paper section 3): a table from the enum of genotype.proto to layers."""

import functools

import tensorflow as tf

from nasnet_tf.genotype import Operation
from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.convolutions import ConvBn, DilatedConv, FactorizedConv, SeparableConv
from nasnet_tf.layers.normalization import LayerStyle


class Identity(Composite):
    """Returns its input unchanged, or applies ReLU, 1x1 convolution and batch normalization if the stride or the filters must change.

    With bounded activations, ReLU6 is applied to an input that is otherwise unchanged.
    """

    def __init__(self, filters: int, style: LayerStyle, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.style, self.stride, self.projection = filters, style, stride, None

    def build(self, input_shape):
        if self.stride > 1 or input_shape[-1] != self.filters:
            self.projection = ConvBn(self.filters, self.style, stride=self.stride, name="projection")
            self.projection.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        if self.projection is not None:
            return self.projection(inputs)
        return self.style.activation(inputs) if self.style.bounded_activation else inputs


class Pool(Composite):
    """Average or maximum pooling; if the number of filters must change, a 1x1 convolution and batch normalization (no ReLU) follow.

    Padding is "same" as in TF-slim, and padded pixels do not count. `keras.applications` pads with zeros instead, which lowers averages and
    raises negative maxima at the border.

    Args:
      filters: channels of the result.
      style: shared settings.
      kind: "AVG" or "MAX".
      size: side of the window in pixels.
      stride: stride in pixels.
    """

    def __init__(self, filters: int, style: LayerStyle, kind: str, size: int, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.style, self.projection = filters, style, None
        self.pool = functools.partial(tf.nn.pool, window_shape=(size, size), pooling_type=kind, strides=(stride, stride), padding="SAME")

    def build(self, input_shape):
        if input_shape[-1] != self.filters:
            self.projection = ConvBn(self.filters, self.style, activation=False, name="projection")
            self.projection.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        hidden = self.pool(tf.nn.relu6(inputs) if self.style.bounded_activation else inputs)
        return hidden if self.projection is None else self.projection(hidden)


# Each entry makes a layer from (filters, style, stride=..., name=...).
# The paper gives only the names of the operations and the order inside them (ReLU, convolution, batch normalization). TF-slim has code for
# the pools, the identity and the separable convolutions. The other convolutions are the plain reading of their names, except the
# factorized ones, which were chosen to match the published counts of NASNet-B and -C.
OPERATIONS = {
    Operation.IDENTITY: Identity,
    Operation.CONV_1X3_3X1: functools.partial(FactorizedConv, kernel_size=3),
    Operation.CONV_1X7_7X1: functools.partial(FactorizedConv, kernel_size=7),
    Operation.DILATED_CONV_3X3: DilatedConv,
    Operation.AVG_POOL_3X3: functools.partial(Pool, kind="AVG", size=3),
    Operation.MAX_POOL_3X3: functools.partial(Pool, kind="MAX", size=3),
    Operation.MAX_POOL_5X5: functools.partial(Pool, kind="MAX", size=5),
    Operation.MAX_POOL_7X7: functools.partial(Pool, kind="MAX", size=7),
    Operation.CONV_1X1: ConvBn,
    Operation.CONV_3X3: functools.partial(ConvBn, kernel_size=(3, 3)),
    Operation.SEP_CONV_3X3: functools.partial(SeparableConv, kernel_size=3),
    Operation.SEP_CONV_5X5: functools.partial(SeparableConv, kernel_size=5),
    Operation.SEP_CONV_7X7: functools.partial(SeparableConv, kernel_size=7),
}
