"""Converts the outputs of both stages to detections, with non-maximum suppression for each class."""

import keras
import tensorflow as tf

from nasnet_tf.detection import boxes as box_math
from nasnet_tf.detection.coding import decode

OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")


def detections(
    proposals: tf.Tensor,
    are_real: tf.Tensor,
    logits: tf.Tensor,
    codes: tf.Tensor,
    size: tf.Tensor,
    count: int,
    nms_iou: float,
    least_score: float,
) -> dict[str, tf.Tensor]:
    """Decodes boxes, clips them to the image, and applies non-maximum suppression to each class.

    Args:
      proposals: float32 [batch, n, 4], in pixels.
      are_real: bool [batch, n], False for proposals that are padding.
      logits: float32 [batch * n, 1 + classes], see BoxHead.
      codes: float32 [batch * n, classes, 4], see BoxHead.
      size: float32 [2], height and width of the image.
      count: maximum number of detections per image, over all classes.
      nms_iou: IoU threshold; of two boxes of the same class that overlap more, the better one is kept.
      least_score: detections with a lower probability are left out.

    Returns:
      {"detection_boxes": float32 [batch, count, 4], normalized; "detection_classes": int32 [batch, count], 0 and up; "detection_scores":
      float32 [batch, count], probabilities, highest first; "num_detections": int32 [batch]}. Rows after the last detection are zeros.
    """
    batch, number, classes = tf.shape(proposals)[0], proposals.shape[1], codes.shape[1]
    scores = tf.reshape(tf.nn.softmax(logits)[:, 1:], [batch, number, classes])
    scores = tf.where(are_real[:, :, None], scores, -1.0)
    found = decode(tf.reshape(codes, [batch, number, classes, 4]), proposals[:, :, None, :])
    found = box_math.clip(found, size[0], size[1])
    scores = tf.where(box_math.areas(found) > 0, scores, -1.0)
    kept = tf.image.combined_non_max_suppression(
        found / tf.tile(size, [2]), scores, count, count, iou_threshold=nms_iou, score_threshold=max(0.0, least_score), clip_boxes=True
    )
    values = (kept.nmsed_boxes, tf.cast(kept.nmsed_classes, tf.int32), kept.nmsed_scores, kept.valid_detections)
    return dict(zip(OUTPUTS, values, strict=True))


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Postprocessing(keras.layers.Layer):
    """The function `detections` as a layer. Call it with (images, proposals, are_real, logits, codes); only the size of images is used."""

    def __init__(self, count: int, nms_iou: float, least_score: float, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.settings = {"count": count, "nms_iou": nms_iou, "least_score": least_score}

    def call(self, images, proposals, are_real, logits, codes):
        size = tf.cast(tf.shape(images)[1:3], tf.float32)
        return detections(proposals, are_real, logits, codes, size, **self.settings)

    def compute_output_spec(self, images, *others):
        batch, count = images.shape[0], self.settings["count"]
        specs = (((batch, count, 4), "float32"), ((batch, count), "int32"), ((batch, count), "float32"), ((batch,), "int32"))
        return {name: keras.KerasTensor(shape, dtype) for name, (shape, dtype) in zip(OUTPUTS, specs, strict=True)}

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, **self.settings}
