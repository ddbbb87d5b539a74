"""Encodes boxes as four numbers relative to anchors, and decodes them (Ren et al. 2015, equation 2)."""

import math

import keras
import tensorflow as tf

_VARIANCE = (0.1, 0.1, 0.2, 0.2)  # the inverse of the original's scale factors 10, 10, 5, 5
# Limits the codes of height and width, so that a side is at most 1000 / 16 times that of its anchor, as in Detectron. Otherwise exp could
# overflow for the outputs of an untrained network.
_MAX_GROWTH = math.log(1000 / 16) / _VARIANCE[2]


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Returns codes float32 [..., n, 4], (y, x, height, width), of boxes relative to anchors.

    Args:
      boxes: float32 [..., n, 4], in pixels.
      anchors: float32 [n, 4] or [..., n, 4], in pixels.
    """
    return keras.utils.bounding_boxes.encode_box_to_deltas(anchors, boxes, "yxyx", "yxyx", "center_yxhw", list(_VARIANCE))


def decode(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Returns the boxes that codes stand for, float32 [..., 4] in pixels; the inverse of `encode`.

    Args:
      codes: float32 [..., 4].
      anchors: float32 [..., 4] in pixels, of the shape of the codes or one that broadcasts to it.
    """
    codes = tf.concat([codes[..., :2], tf.minimum(codes[..., 2:], _MAX_GROWTH)], axis=-1)
    return keras.utils.bounding_boxes.decode_deltas_to_boxes(anchors, codes, "yxyx", "yxyx", "center_yxhw", list(_VARIANCE))
