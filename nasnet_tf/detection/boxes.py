"""Areas, overlaps and bounds of boxes: (ymin, xmin, ymax, xmax) in any unit, the same for all."""

import keras
import tensorflow as tf


def areas(boxes: tf.Tensor) -> tf.Tensor:
    """float [..., 4] -> float [...]; 0 for a box whose end is not beyond its beginning."""
    sides = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def ious(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each with each: float [batch, n, 4], [batch, m, 4] -> float [batch, n, m] in [0, 1]; 0 for empty boxes."""
    return keras.utils.bounding_boxes.compute_iou(boxes, others, bounding_box_format="yxyx")


def covered(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """The share of each box that each other covers (COCO's overlap with a crowd): [batch, n, 4], [batch, m, 4] -> [batch, n, m]."""
    begin = tf.maximum(boxes[:, :, None, :2], others[:, None, :, :2])
    end = tf.minimum(boxes[:, :, None, 2:], others[:, None, :, 2:])
    return tf.math.divide_no_nan(areas(tf.concat([begin, end], -1)), areas(boxes)[:, :, None])


def clip(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The parts of boxes inside [0, height] x [0, width]: float [..., 4] -> float [..., 4]."""
    return tf.minimum(tf.maximum(boxes, 0.0), tf.stack([height, width, height, width]))
