"""Which anchor or proposal stands for which object in training, and which of them are taken into the loss."""

from typing import NamedTuple

import tensorflow as tf

from nasnet_tf.detection import boxes as box_math

PADDING, CROWD = -1, -2  # labels of what is no object: a row that fills up, a region of uncounted objects
_CROWD_SHARE = 0.5  # of a box covered by a crowd: then it is neither object nor background


class Matches(NamedTuple):
    """Attributes:
    is_object: bool [batch, n]: stands for an object.
    is_background: bool [batch, n]: for none. What is neither is left out of the loss.
    index: int32 [batch, n]: number of the object that overlaps most; only where is_object.
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
    """Compares candidates with the objects of their image.

    Args:
      candidates: float32 [batch, n, 4], in pixels.
      valid: bool [batch, n]: which of them may be taken at all.
      boxes: float32 [batch, objects, 4], in pixels.
      labels: int32 [batch, objects]: a class 0 and up, PADDING or CROWD.
      object_iou: with so much overlap or more a candidate stands for the object.
      background_iou: with less than this, with every object, it is background, unless a crowd covers half of it.
      force: for each object the candidates that overlap it most stand for it, however little that is.
    """
    is_object = labels >= 0
    ious = box_math.ious(candidates, boxes)
    ious = tf.where(valid[:, :, None] & is_object[:, None, :], ious, 0.0)
    best = tf.reduce_max(ious, axis=2)
    taken = best >= object_iou
    if force:
        forced = (ious > 0) & (ious >= tf.reduce_max(ious, axis=1, keepdims=True))
        taken |= tf.reduce_any(forced, axis=2)
        ious = tf.where(forced, ious + 1.0, ious)  # its own object before one that it overlaps more
    in_crowd = tf.where((labels == CROWD)[:, None, :], box_math.covered(candidates, boxes), 0.0)
    in_crowd = tf.reduce_max(in_crowd, axis=2) >= _CROWD_SHARE
    background = (best < background_iou) & ~taken & ~in_crowd
    return Matches(taken & valid, background & valid, tf.argmax(ious, axis=2, output_type=tf.int32))


def sample(matches: Matches, size: int, object_share: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws up to `size` candidates of each image: objects up to their share, then background.

    seed: int [2]; equal seeds give equal samples. Returns bool [batch, n].
    """
    object_seed, background_seed = tf.unstack(tf.random.split(tf.cast(seed, tf.int64), 2))
    batch = tf.shape(matches.is_object)[0]
    objects = _draw(matches.is_object, size, tf.fill([batch], int(size * object_share)), object_seed)
    missing = size - tf.reduce_sum(tf.cast(objects, tf.int32), axis=1)
    return objects | _draw(matches.is_background, size, missing, background_seed)


def first_of(sampled: tf.Tensor, size: int) -> tf.Tensor:
    """The numbers of up to `size` drawn candidates, then of others: bool [batch, n] -> int32 [batch, size]; n is at least size."""
    return tf.math.top_k(tf.cast(sampled, tf.float32), size).indices


def _draw(mask: tf.Tensor, most: int, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`count` int32 [batch] of the true ones in each row of bool [batch, n], or all where there are fewer; count <= most."""
    chances = tf.where(mask, tf.random.stateless_uniform(tf.shape(mask), seed), -1.0)
    values, numbers = tf.math.top_k(chances, tf.minimum(most, tf.shape(mask)[1]))
    chosen = (values >= 0) & (tf.range(tf.shape(values)[1])[None] < count[:, None])
    rows = tf.repeat(tf.range(tf.shape(mask)[0])[:, None], tf.shape(numbers)[1], axis=1)
    return tf.scatter_nd(tf.stack([rows, numbers], -1), tf.cast(chosen, tf.int32), tf.shape(mask)) > 0
