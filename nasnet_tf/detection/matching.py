"""Assigns anchors and proposals to objects in training, and samples those that enter the loss (Ren et al. 2015, section 3.1.2)."""

from typing import NamedTuple

import tensorflow as tf

from nasnet_tf.detection import boxes as box_math

PADDING, CROWD = -1, -2  # labels of rows that are no objects: padding of a batch, and a crowd of objects that are not counted
_CROWD_SHARE = 0.5  # a box of which a crowd covers this fraction or more is neither object nor background


class Matches(NamedTuple):
    """The assignment of n candidates per image to objects. Candidates that are neither object nor background do not enter the loss.

    Attributes:
      is_object: bool [batch, n], True if the candidate is assigned to an object.
      is_background: bool [batch, n], True if it is background.
      index: int32 [batch, n], the index of its object, the one that it overlaps most; meaningless unless is_object.
    """

    is_object: tf.Tensor
    is_background: tf.Tensor
    index: tf.Tensor


def match(
    candidates: tf.Tensor,
    valid: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    object_iou: float,
    background_iou: float,
    force: bool = False,
) -> Matches:
    """Assigns candidates to the objects of their image by overlap.

    Args:
      candidates: float32 [batch, n, 4], in pixels.
      valid: bool [batch, n], which candidates can be used; the others become neither object nor background.
      boxes: float32 [batch, objects, 4], in pixels.
      labels: int32 [batch, objects], a class from 0 on, PADDING or CROWD.
      object_iou: IoU from which a candidate is assigned to an object.
      background_iou: a candidate whose IoU with every object is below this is background, unless a crowd covers half of it or more.
      force: True to assign the candidates with the highest IoU to each object, even if it is below object_iou.
    """
    is_object = labels >= 0
    ious = box_math.ious(candidates, boxes)
    ious = tf.where(valid[:, :, None] & is_object[:, None, :], ious, 0.0)
    best = tf.reduce_max(ious, axis=2)
    taken = best >= object_iou
    if force:
        forced = (ious > 0) & (ious >= tf.reduce_max(ious, axis=1, keepdims=True))
        taken |= tf.reduce_any(forced, axis=2)
        ious = tf.where(forced, ious + 1.0, ious)  # prefers the object that forced the candidate over one with a higher IoU
    in_crowd = tf.where((labels == CROWD)[:, None, :], box_math.covered(candidates, boxes), 0.0)
    in_crowd = tf.reduce_max(in_crowd, axis=2) >= _CROWD_SHARE
    background = (best < background_iou) & ~taken & ~in_crowd
    return Matches(taken & valid, background & valid, tf.argmax(ious, axis=2, output_type=tf.int32))


def sample(matches: Matches, size: int, object_share: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws up to `size` candidates of each image at random: first objects, up to a fraction of `size`, then background.

    Args:
      matches: the assignment of candidates.
      size: number of candidates to draw per image.
      object_share: largest fraction of `size` that may be objects, in [0, 1].
      seed: int [2]; equal seeds give equal samples.

    Returns:
      bool [batch, n], True for the candidates that were drawn.
    """
    object_seed, background_seed = tf.unstack(tf.random.split(tf.cast(seed, tf.int64), 2))
    batch = tf.shape(matches.is_object)[0]
    objects = _draw(matches.is_object, size, tf.fill([batch], int(size * object_share)), object_seed)
    missing = size - tf.reduce_sum(tf.cast(objects, tf.int32), axis=1)
    return objects | _draw(matches.is_background, size, missing, background_seed)


def first_of(sampled: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the indices of the drawn candidates, filled up with others to `size`: bool [batch, n] -> int32 [batch, size].

    `size` is at most n, and at least the number of drawn candidates.
    """
    return tf.math.top_k(tf.cast(sampled, tf.float32), size).indices


def _draw(mask: tf.Tensor, most: int, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws `count` int32 [batch] of the True entries of each row of `mask` bool [batch, n], or all if there are fewer; count <= most."""
    chances = tf.where(mask, tf.random.stateless_uniform(tf.shape(mask), seed), -1.0)
    values, numbers = tf.math.top_k(chances, tf.minimum(most, tf.shape(mask)[1]))
    chosen = (values >= 0) & (tf.range(tf.shape(values)[1])[None] < count[:, None])
    rows = tf.repeat(tf.range(tf.shape(mask)[0])[:, None], tf.shape(numbers)[1], axis=1)
    return tf.scatter_nd(tf.stack([rows, numbers], -1), tf.cast(chosen, tf.int32), tf.shape(mask)) > 0
