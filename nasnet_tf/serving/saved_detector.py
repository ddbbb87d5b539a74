"""Export of a detector to a SavedModel with the signature of the TF Object Detection API."""

import json
import pathlib

import keras
import tensorflow as tf

from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.detection import prepare_picture
from nasnet_tf.serving.exporting import new_folder
from nasnet_tf.serving.saved_model import DESCRIPTIONS
from nasnet_tf.training.variables import named_weights


class SavedDetector(tf.__internal__.tracking.AutoTrackable):
    """What is saved: two signatures around one graph, and the weights by name."""

    def __init__(self, model: keras.Model, data_description: dict):
        super().__init__()
        side = data_description["image_size"]
        ids = tf.constant(data_description["category_ids"], tf.float32)
        self.weights = named_weights(model)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)])
        def find(prepared):
            found = model(prepared, training=False)
            real = tf.sequence_mask(found["num_detections"], found["detection_classes"].shape[1], tf.float32)
            return {
                "detection_boxes": found["detection_boxes"],
                "detection_classes": tf.gather(ids, found["detection_classes"]) * real,
                "detection_scores": found["detection_scores"],
                "num_detections": tf.cast(found["num_detections"], tf.float32),
            }

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "input_tensor")])
        def detect(input_tensor):
            images = tf.image.resize(tf.cast(input_tensor, tf.float32), [side, side])
            return find(images * (2 / 255) - 1.0)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "encoded")])
        def detect_encoded(encoded):
            spec = tf.TensorSpec([side, side, 3], tf.float32)
            return find(tf.map_fn(lambda content: prepare_picture(decode_image(content), side), encoded, fn_output_signature=spec))

        self.graph_signatures = {"serving_default": detect, "detect_encoded": detect_encoded}


def export_detector(model: keras.Model, data_description: dict, folder: pathlib.Path) -> None:
    """Writes a SavedModel with the model's weights.

    Its signatures:
      serving_default: input_tensor uint8 [batch, height, width, 3] of any size -> detection_boxes float32 [batch, n, 4], (ymin, xmin, ymax,
        xmax) in shares of the picture; detection_classes float32 [batch, n], the annotations' own category ids; detection_scores float32
        [batch, n], highest first; num_detections float32 [batch]; zeros after the last.
      detect_encoded: encoded string [batch], whole image files of any size -> the same.

    Args:
      data_description: as DetectionData.description gives it.

    Raises:
      InputError: the folder exists and is not empty.
    """
    module = SavedDetector(model, data_description)
    with new_folder(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=module.graph_signatures)
        for name, content in zip(DESCRIPTIONS, (json.loads(model.to_json()), data_description), strict=True):
            (temporary / name).write_text(json.dumps(content, indent=1))
