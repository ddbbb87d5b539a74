"""The output layers of a detector's two stages: objectness and boxes of anchors, then classes and boxes of regions."""

import keras
import tensorflow as tf

_SMALL = 0.01  # standard deviation of initial weights (Ren et al. 2015, section 3.1.3)
_SMALL_CODES = 0.001  # the same for the boxes of the second stage (Girshick 2015, section 4.2)


@keras.saving.register_keras_serializable(package="nasnet_tf")
class ProposalHead(keras.layers.Layer):
    """Predicts objectness and box codes of the k anchors at each pixel: a 3x3 convolution with ReLU, then two 1x1 convolutions.

    Call it with a list of states float [batch, rows, columns, channels], which are concatenated. Returns (logits float32
    [batch, rows, columns, k], codes float32 [batch, rows, columns, 4 * k]). The original has two logits per anchor and a softmax; this is
    equivalent to one logit, their difference, and a sigmoid.

    Args:
      filters: channels of the 3x3 convolution.
      num_anchors: k.
    """

    def __init__(self, filters: int, num_anchors: int, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.num_anchors = filters, num_anchors

    def build(self, shapes):
        channels = sum(shape[-1] for shape in shapes)
        normal = keras.initializers.RandomNormal(stddev=_SMALL)

        def add(name, size, inputs, outputs):
            kernel = self.add_weight(name=f"{name}_kernel", shape=(size, size, inputs, outputs), initializer=normal)
            return kernel, self.add_weight(name=f"{name}_bias", shape=(outputs,), initializer="zeros")

        self.hidden = add("hidden", 3, channels, self.filters)
        self.objectness = add("objectness", 1, self.filters, self.num_anchors)
        self.codes = add("codes", 1, self.filters, 4 * self.num_anchors)
        self.built = True

    def call(self, states):
        hidden = tf.nn.relu(_convolve(tf.concat(states, -1), self.hidden))
        return tuple(tf.cast(_convolve(hidden, weights), tf.float32) for weights in (self.objectness, self.codes))

    def compute_output_spec(self, states):
        shape = states[0].shape[:3]
        return tuple(keras.KerasTensor((*shape, times * self.num_anchors), "float32") for times in (1, 4))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "num_anchors": self.num_anchors}


@keras.saving.register_keras_serializable(package="nasnet_tf")
class BoxHead(keras.layers.Layer):
    """Predicts classes and boxes of regions with two dense layers.

    float [regions, channels] -> (logits float32 [regions, 1 + classes], codes float32 [regions, classes, 4]). Logit 0 is background and
    logit c + 1 is class c. Each class has its own box.
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.num_classes = num_classes

    def build(self, shape):
        def add(name, outputs, stddev):
            initializer = keras.initializers.RandomNormal(stddev=stddev)
            kernel = self.add_weight(name=f"{name}_kernel", shape=(shape[-1], outputs), initializer=initializer)
            return kernel, self.add_weight(name=f"{name}_bias", shape=(outputs,), initializer="zeros")

        self.classes = add("classes", 1 + self.num_classes, _SMALL)
        self.codes = add("codes", 4 * self.num_classes, _SMALL_CODES)
        self.built = True

    def call(self, features):
        logits, codes = (features @ kernel + bias for kernel, bias in (self.classes, self.codes))
        return logits, tf.reshape(codes, [-1, self.num_classes, 4])

    def compute_output_spec(self, features):
        specs = ((features.shape[0], 1 + self.num_classes), (features.shape[0], self.num_classes, 4))
        return tuple(keras.KerasTensor(shape, "float32") for shape in specs)

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "num_classes": self.num_classes}


def _convolve(inputs, weights):
    kernel, bias = (tf.convert_to_tensor(weight) for weight in weights)
    return tf.nn.conv2d(inputs, kernel, 1, "SAME") + tf.cast(bias, inputs.dtype)
