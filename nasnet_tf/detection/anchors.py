"""Anchors: the reference boxes of proposals, the same set at each pixel of a feature map (Ren et al. 2015, section 3.1.1)."""

import numpy as np
import tensorflow as tf


def anchor_shapes(base: float, scales: tuple[float, ...], ratios: tuple[float, ...]) -> np.ndarray:
    """Returns the anchor shapes of all scales and ratios.

    Args:
      base: side in pixels of the square anchor of scale 1.
      scales: factors of the side; an anchor has an area of (base * scale)^2 pixels.
      ratios: values of width / height.

    Returns:
      float32 [scales * ratios, 2], (height, width) in pixels.
    """
    sizes = [(base * scale / ratio**0.5, base * scale * ratio**0.5) for scale in scales for ratio in ratios]
    return np.array(sizes, np.float32)


def make_anchors(height: tf.Tensor, width: tf.Tensor, stride: int, shapes: np.ndarray) -> tf.Tensor:
    """Returns the anchors of a feature map of height x width pixels, row by row.

    Their centers are at (row * stride, column * stride), as in the original configuration (its anchor offset is 0).

    Args:
      height, width: size of the feature map in its pixels.
      stride: image pixels per pixel of the feature map.
      shapes: float32 [k, 2], see `anchor_shapes`.

    Returns:
      float32 [height * width * k, 4], (ymin, xmin, ymax, xmax) in pixels of the image. Anchors at the edges reach beyond the image.
    """
    rows, columns = (tf.cast(tf.range(size) * stride, tf.float32) for size in (height, width))
    centers = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centers - shapes / 2, centers + shapes / 2], axis=-1), [-1, 4])


def are_inside(anchors: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns which anchors lie completely inside the image, bool [n]. Training uses only these, as the original does."""
    return tf.reduce_all(anchors[:, :2] >= 0.0, -1) & (anchors[:, 2] <= height) & (anchors[:, 3] <= width)
