"""Boxes on images as tensors, for TensorBoard. Pictures for people, with names, are drawn in viz."""

import colorsys

import tensorflow as tf

_COLORS = [colorsys.hsv_to_rgb(number * 0.381966 % 1.0, 1.0, 1.0) for number in range(24)]  # far apart whatever their number
_NOT_DRAWN = (1.0, 1.0, 0.0, 0.0)  # a box of no size would be a dot


def draw_boxes(images: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """A frame of its class' colour for each object.

    Args:
      images: float32 [batch, height, width, 3], in [-1, 1].
      boxes: float32 [batch, n, 4], in pixels.
      labels: int32 [batch, n]; those below 0 are not drawn.

    Returns:
      float32 of the images' shape, in [0, 1].
    """
    size = tf.cast(tf.tile(tf.shape(images)[1:3], [2]), tf.float32)
    boxes = boxes / size
    drawn = tf.clip_by_value((images + 1.0) / 2.0, 0.0, 1.0)
    for number, color in enumerate(_COLORS):
        mine = tf.where(((labels >= 0) & (labels % len(_COLORS) == number))[..., None], boxes, _NOT_DRAWN)
        drawn = tf.image.draw_bounding_boxes(drawn, mine, [color])
    return drawn
