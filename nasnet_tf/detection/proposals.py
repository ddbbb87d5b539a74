"""Region proposals: the boxes that most likely contain an object (Ren et al. 2015, section 3)."""

import keras
import tensorflow as tf

from nasnet_tf.detection import anchors as anchor_math
from nasnet_tf.detection import boxes as box_math
from nasnet_tf.detection.coding import decode

_SMALLEST_SIDE = 1e-3  # pixels; a smaller box has no area to crop


def propose(boxes: tf.Tensor, scores: tf.Tensor, count: int, before_nms: int, nms_iou: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Selects the boxes with the highest scores by non-maximum suppression.

    Args:
      boxes: float32 [batch, n, 4], in pixels, clipped to the image.
      scores: float32 [batch, n] in [0, 1].
      count: maximum number of proposals per image.
      before_nms: number of boxes with the highest scores that are considered.
      nms_iou: IoU threshold; of two boxes that overlap more, the better one is kept.

    Returns:
      The proposals, float32 [batch, count, 4], best first and padded with zeros, and bool [batch, count], False for padding.
    """
    is_box = tf.reduce_all(boxes[..., 2:] - boxes[..., :2] > _SMALLEST_SIDE, axis=-1)
    scores = tf.where(is_box, scores, -1.0)
    scores, best = tf.math.top_k(scores, tf.minimum(before_nms, tf.shape(scores)[1]))
    boxes = tf.gather(boxes, best, batch_dims=1)
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None, :], scores[:, :, None], count, count, iou_threshold=nms_iou, score_threshold=0.0, clip_boxes=False
    )
    return kept.nmsed_boxes, tf.range(count)[None] < kept.valid_detections[:, None]


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Proposals(keras.layers.Layer):
    """Computes proposals from the outputs of ProposalHead. Call it with (images, objectness, codes).

    images: float [batch, height, width, 3]; only the size is used. objectness: float32 [batch, rows, columns, k], logits of the k anchors
    at each pixel. codes: float32 [batch, rows, columns, 4 * k].

    Returns (anchors float32 [rows * columns * k, 4], proposals float32 [batch, count, 4], bool [batch, count]), where the last is False
    for proposals that are padding. No gradient flows through this layer.
    """

    def __init__(self, stride, base, scales, ratios, count, before_nms, nms_iou, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.settings = {"stride": stride, "base": base, "scales": list(scales), "ratios": list(ratios)}
        self.limits = {"count": count, "before_nms": before_nms, "nms_iou": nms_iou}
        self.shapes = anchor_math.anchor_shapes(base, scales, ratios)

    def call(self, images, objectness, codes):
        rows, columns = tf.unstack(tf.shape(objectness)[1:3])
        anchors = anchor_math.make_anchors(rows, columns, self.settings["stride"], self.shapes)
        batch = tf.shape(images)[0]
        codes = tf.reshape(tf.stop_gradient(codes), [batch, -1, 4])
        scores = tf.sigmoid(tf.reshape(tf.stop_gradient(objectness), [batch, -1]))
        height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
        return anchors, *propose(box_math.clip(decode(codes, anchors), height, width), scores, **self.limits)

    def compute_output_spec(self, images, objectness, codes):
        batch, count = images.shape[0], self.limits["count"]
        specs = (((None, 4), "float32"), ((batch, count, 4), "float32"), ((batch, count), "bool"))
        return tuple(keras.KerasTensor(shape, dtype) for shape, dtype in specs)

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        settings = dict(self.settings) | {name: list(self.settings[name]) for name in ("scales", "ratios")}
        return {**config, **settings, **self.limits}
