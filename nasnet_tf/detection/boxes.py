"""Areas, overlaps and clipping of boxes (ymin, xmin, ymax, xmax). Any unit works if all boxes have the same."""

import keras
import tensorflow as tf


def areas(boxes: tf.Tensor) -> tf.Tensor:
    """Returns the areas of boxes: float [..., 4] -> float [...]. A box whose end is not beyond its beginning has area 0."""
    sides = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def ious(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Returns the intersection over union of all pairs of boxes; 0 for empty boxes.

    float [batch, n, 4], float [batch, m, 4] -> float [batch, n, m] in [0, 1].
    """
    return keras.utils.bounding_boxes.compute_iou(boxes, others, bounding_box_format="yxyx")


def covered(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Returns which fraction of each box is covered by each of the other boxes (COCO's overlap with a crowd).

    float [batch, n, 4], float [batch, m, 4] -> float [batch, n, m] in [0, 1].
    """
    begin = tf.maximum(boxes[:, :, None, :2], others[:, None, :, :2])
    end = tf.minimum(boxes[:, :, None, 2:], others[:, None, :, 2:])
    return tf.math.divide_no_nan(areas(tf.concat([begin, end], -1)), areas(boxes)[:, :, None])


def clip(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Clips boxes to the image [0, height] x [0, width]: float [..., 4] -> float [..., 4]."""
    return tf.minimum(tf.maximum(boxes, 0.0), tf.stack([height, width, height, width]))
