"""Finds the objects that a detector missed, to show them in reports."""

from collections.abc import Sequence

import numpy as np

from nasnet_tf.data.objects import Picture

_IOU = 0.5


def missed(picture: Picture, boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which objects of a picture were missed: no detection of their class has an IoU of 0.5 or more with them.

    Args:
      picture: the picture and its objects.
      boxes: detections, float [n, 4], (ymin, xmin, ymax, xmax) in pixels of the picture.
      labels: classes of the detections, int [n].

    Returns:
      bool [objects]; always False for crowds, whose objects are not counted individually.
    """
    lost = ~picture.is_crowd
    for number, box in enumerate(picture.boxes):
        begin, end = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
        shared = np.prod(np.maximum(end - begin, 0), axis=1)
        union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
        lost[number] &= not np.any((labels == picture.labels[number]) & (shared >= _IOU * union) & (shared > 0))
    return lost


def worst(lost: Sequence[np.ndarray], count: int) -> list[int]:
    """Returns the indices of the pictures with the most missed objects, most first: at most `count`, and none without a missed object."""
    order = sorted(range(len(lost)), key=lambda number: -int(lost[number].sum()))
    return [number for number in order[:count] if lost[number].any()]
