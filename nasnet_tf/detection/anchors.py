"""Anchors: the boxes that proposals are told relative to, the same ones around each pixel of a map."""

import numpy as np
import tensorflow as tf


def anchor_shapes(base: float, scales: tuple[float, ...], ratios: tuple[float, ...]) -> np.ndarray:
    """float32 [scales * ratios, 2]: (height, width) in pixels, of base^2 * scale^2 pixels each, width / height being the ratio."""
    sizes = [(base * scale / ratio**0.5, base * scale * ratio**0.5) for scale in scales for ratio in ratios]
    return np.array(sizes, np.float32)


def make_anchors(height: tf.Tensor, width: tf.Tensor, stride: int, shapes: np.ndarray) -> tf.Tensor:
    """Anchors for a map of height x width pixels, row by row.

    The centres are at (row * stride, column * stride), as in the original configuration (its anchor offset is 0).

    Returns:
      float32 [height * width * len(shapes), 4], (ymin, xmin, ymax, xmax) in pixels of the image; those at the edges reach beyond it.
    """
    rows, columns = (tf.cast(tf.range(size) * stride, tf.float32) for size in (height, width))
    centres = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centres - shapes / 2, centres + shapes / 2], axis=-1), [-1, 4])


def are_inside(anchors: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Which anchors lie wholly in the image, bool [n]: the others are no examples in training (the original prunes them)."""
    return tf.reduce_all(anchors[:, :2] >= 0.0, -1) & (anchors[:, 2] <= height) & (anchors[:, 3] <= width)
