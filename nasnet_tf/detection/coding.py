"""Boxes as four numbers relative to other boxes, and back (Ren et al. 2015, equation 2)."""

import math

import keras
import tensorflow as tf

_VARIANCE = (0.1, 0.1, 0.2, 0.2)  # the original's scale factors 10, 10, 5, 5
# A side grows to at most this many times the anchor's: exp of a network's first guesses would overflow (as in detectron, 1000 / 16).
_MOST_GROWTH = math.log(1000 / 16) / _VARIANCE[2]


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Boxes float32 [..., n, 4] and anchors [n, 4] or [..., n, 4], in pixels -> codes [..., n, 4]: (y, x, height, width)."""
    return keras.utils.bounding_boxes.encode_box_to_deltas(anchors, boxes, "yxyx", "yxyx", "center_yxhw", list(_VARIANCE))


def decode(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes that were encoded, float32 [..., 4] in pixels; anchors [..., 4] of a shape that fits the codes'."""
    codes = tf.concat([codes[..., :2], tf.minimum(codes[..., 2:], _MOST_GROWTH)], axis=-1)
    return keras.utils.bounding_boxes.decode_deltas_to_boxes(anchors, codes, "yxyx", "yxyx", "center_yxhw", list(_VARIANCE))
