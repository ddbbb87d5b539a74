"""The layers before and after the cells: stem, pooling, classifier, auxiliary head (paper appendix A.7; TF-slim's nasnet.py)."""

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.convolutions import ConvBn, slim_initializer
from nasnet_tf.layers.normalization import LayerStyle, StyledLayer
from nasnet_tf.models.stems import STEMS


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Stem(StyledLayer, Composite):
    """The layer of a stem: for "cifar" and "imagenet", a 3x3 convolution and batch normalization, without ReLU.

    Args:
      kind: a key of nasnet_tf.models.stems.STEMS.
      filters: output channels.
      style: settings shared by all layers.
    """

    def __init__(self, kind: str, filters: int, style: LayerStyle, **kwargs):
        super().__init__(style, **kwargs)
        self.kind, self.filters = kind, filters
        self.conv = STEMS[kind].layer(filters, style, name="conv")

    def build(self, input_shape):
        self.conv.build(input_shape)
        super().build(input_shape)

    def call(self, images):
        return self.conv(images)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "filters": self.filters}


@keras.saving.register_keras_serializable(package="nasnet_tf")
class GlobalPool(StyledLayer):
    """ReLU, then pooling over height and width: float [batch, height, width, channels] -> float32 [batch, channels].

    A list of inputs is concatenated along the channels first.

    Args:
      style: settings shared by all layers.
      pooling: "avg" for the mean, "max" for the maximum, None to return the feature map, float [batch, height, width, channels].
    """

    def __init__(self, style: LayerStyle, pooling: str | None = "avg", **kwargs):
        super().__init__(style, **kwargs)
        expect(pooling in ("avg", "max", None), "pooling", "'avg', 'max' or None", pooling)
        self.pooling = pooling

    def call(self, inputs):
        states = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        hidden = self.style.activation(states[0] if len(states) == 1 else tf.concat(states, axis=-1))
        if self.pooling is None:
            return hidden
        # The sum of many values needs float32, whatever the dtype policy is.
        return {"avg": tf.reduce_mean, "max": tf.reduce_max}[self.pooling](tf.cast(hidden, tf.float32), [1, 2])

    def compute_output_spec(self, inputs):
        states = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        channels = sum(state.shape[-1] for state in states)
        if self.pooling is None:
            return keras.KerasTensor((*states[0].shape[:-1], channels), self.compute_dtype)
        return keras.KerasTensor((states[0].shape[0], channels), "float32")

    def get_config(self):
        return {**super().get_config(), "pooling": self.pooling}


@keras.saving.register_keras_serializable(package="nasnet_tf")
class AuxiliaryHead(StyledLayer, Composite):
    """A small classifier at 2/3 of the depth, for training only: float [batch, height, width, channels] -> logits [batch, num_classes].

    It consists of ReLU, 5x5 average pooling with stride 3 and no padding, a 1x1 convolution to 128 channels, a convolution to 768 channels
    whose kernel covers the whole remaining map, and a dense layer. Batch normalization and ReLU follow each convolution.

    Raises:
      InputError: when built, the images may have any size. The head needs a fixed one.
    """

    def __init__(self, num_classes: int, style: LayerStyle, **kwargs):
        super().__init__(style, **kwargs)
        self.num_classes = num_classes
        self.projection = ConvBn(128, style, activation=False, name="projection")
        self.classifier = classifier(num_classes, "classifier")

    def build(self, input_shape):
        sizes = input_shape[1:3]
        if None in sizes:
            raise InputError(
                f"auxiliary head: expected a fixed image size, got {sizes[0]} x {sizes[1]}; set image_size, or set auxiliary_head=False"
            )
        self.window = [min(5, size) for size in sizes]  # images below 20 pixels give maps smaller than 5x5
        remaining = tuple((size - window) // 3 + 1 for size, window in zip(sizes, self.window, strict=True))
        self.projection.build(input_shape)
        self.full_map = ConvBn(768, self.style, remaining, padding="VALID", name="full_map")
        self.full_map.build((None, None, None, 128))
        self.classifier.build((None, 768))
        super().build(input_shape)

    def call(self, inputs):
        hidden = tf.nn.avg_pool2d(self.style.activation(inputs), self.window, 3, "VALID")
        hidden = self.style.activation(self.full_map(self.projection(hidden)))
        return self.classifier(tf.squeeze(hidden, [1, 2]))

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.num_classes

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def classifier(num_classes: int, name: str) -> keras.layers.Dense:
    """Returns a dense layer from features [batch, features] to float32 logits [batch, num_classes]."""
    return keras.layers.Dense(num_classes, kernel_initializer=slim_initializer((1, num_classes)), dtype="float32", name=name)
