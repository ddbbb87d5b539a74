"""From what both stages say to detections: boxes of each class, no two of one class on the same thing."""

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
    """Decodes, clips, and suppresses what overlaps within each class.

    Args:
      proposals, are_real: float32 [batch, n, 4] in pixels, bool [batch, n].
      logits, codes: float32 [batch * n, 1 + classes], [batch * n, classes, 4], see BoxHead.
      size: float32 [2], height and width of the image.
      count: how many detections of an image, over all classes.
      nms_iou: of two boxes of one class that overlap more the better one stays.
      least_score: those of lower probability are left out.

    Returns:
      {"detection_boxes": float32 [batch, count, 4], normalized; "detection_classes": int32 [batch, count], 0 and up; "detection_scores":
      float32 [batch, count], probabilities, highest first; "num_detections": int32 [batch]}; zeros after the last.
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
    """`detections` as a layer; call with (images, proposals, are_real, logits, codes), of the images only the size counts."""

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
