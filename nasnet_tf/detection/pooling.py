"""Crops regions of feature maps to a fixed size: RoIAlign (He et al. 2017, section 3) with one sample per bin."""

import keras
import tensorflow as tf


def roi_align(features: tf.Tensor, boxes: tf.Tensor, stride: tf.Tensor, size: int) -> tf.Tensor:
    """Returns crops of size x size bins. Each bin is sampled at its center with bilinear interpolation.

    Samples beyond the edge of the map have the value at the edge.

    Deviation: the original uses tf.image.crop_and_resize, which samples from corner to corner of the box and so is off by half a pixel of
    the map. We compute RoIAlign with the same op.

    Args:
      features: float32 [batch, rows, columns, channels].
      boxes: float32 [batch, n, 4], in pixels of the image.
      stride: float32 [2], image pixels per pixel of the map (vertical, horizontal).
      size: number of bins per side.

    Returns:
      float32 [batch * n, size, size, channels].
    """
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    begin, end = boxes[..., :2] / stride, boxes[..., 2:] / stride
    half_bin = (end - begin) / (2 * size)
    # Pixel i of the map has its center at i + 1/2, and pixel 0 of the padded map is pixel -1 of the map.
    first, last = begin + half_bin + 0.5, end - half_bin + 0.5
    most = tf.cast(tf.shape(padded)[1:3] - 1, tf.float32)
    return _crops(padded, tf.concat([first, last], -1) / tf.tile(most, [2]), size)


def _crops(features: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """Applies tf.image.crop_and_resize to boxes float32 [batch, n, 4], with a correct gradient with respect to the features.

    On CPUs, the gradient of the op adds up the boxes of a picture in several threads, which overwrite each other's sums: with two threads
    it was wrong by 9 to 16% of its largest value, in different places each time. So this gradient adds one box of each picture at a time.
    """
    batch, count = tf.unstack(tf.shape(boxes)[:2])

    @tf.custom_gradient
    def crops(features):
        def gradient(upstream):
            shape = tf.shape(features)
            of_boxes = tf.reshape(upstream, [batch, count, size, size, features.shape[-1]])

            def add(number, total):
                part = tf.raw_ops.CropAndResizeGradImage(
                    grads=of_boxes[:, number], boxes=boxes[:, number], box_ind=tf.range(batch), image_size=shape, T=features.dtype
                )
                return number + 1, total + tf.ensure_shape(part, features.shape)

            return tf.while_loop(lambda number, _: number < count, add, (0, tf.zeros_like(features)))[1]

        places = tf.reshape(boxes, [-1, 4])
        return tf.image.crop_and_resize(features, places, tf.repeat(tf.range(batch), count), [size, size]), gradient

    return crops(features)


@keras.saving.register_keras_serializable(package="nasnet_tf")
class RoiPooling(keras.layers.Layer):
    """Crops regions from hidden states. Call it with (images, states, boxes).

    images: float [batch, height, width, 3]; only the size is used. states: a list of float [batch, rows, columns, channels]. boxes: float32
    [batch, n, 4], in pixels. Returns a list of float32 [batch * n, side, side, channels], where side is size * 2^halvings of the state.

    Args:
      size: side of the crops of the newest state, in its pixels.
      halvings: for each state, how many times it must be halved to get the size of the newest one.
    """

    def __init__(self, size: int, halvings: list[int], **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.size, self.halvings = size, list(halvings)

    def call(self, images, states, boxes):
        image = tf.cast(tf.shape(images)[1:3], tf.float32)

        def stride(state):
            return image / tf.cast(tf.shape(state)[1:3], tf.float32)

        return [
            roi_align(state, boxes, stride(state), self.size * 2**halvings) for state, halvings in zip(states, self.halvings, strict=True)
        ]

    def compute_output_spec(self, images, states, boxes):
        sides = [self.size * 2**halvings for halvings in self.halvings]
        return [keras.KerasTensor((None, side, side, state.shape[-1]), "float32") for side, state in zip(sides, states, strict=True)]

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "size": self.size, "halvings": list(self.halvings)}
