"""Draws boxes on image tensors, for TensorBoard. Figures with class names are drawn in nasnet_tf.viz.detections."""

import colorsys

import tensorflow as tf

# Hues in steps of the golden ratio stay far apart, however many are used.
_COLORS = [colorsys.hsv_to_rgb(number * 0.381966 % 1.0, 1.0, 1.0) for number in range(24)]
_NOT_DRAWN = (1.0, 1.0, 0.0, 0.0)  # an inverted box, which is not drawn; an empty box would be drawn as a dot


def draw_boxes(images: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Draws a frame in the color of its class around each object.

    Args:
      images: float32 [batch, height, width, 3], in [-1, 1].
      boxes: float32 [batch, n, 4], in pixels.
      labels: int32 [batch, n], the classes; boxes with a label below 0 are not drawn.

    Returns:
      float32 [batch, height, width, 3], in [0, 1].
    """
    size = tf.cast(tf.tile(tf.shape(images)[1:3], [2]), tf.float32)
    boxes = boxes / size
    drawn = tf.clip_by_value((images + 1.0) / 2.0, 0.0, 1.0)
    for number, color in enumerate(_COLORS):
        mine = tf.where(((labels >= 0) & (labels % len(_COLORS) == number))[..., None], boxes, _NOT_DRAWN)
        drawn = tf.image.draw_bounding_boxes(drawn, mine, [color])
    return drawn
