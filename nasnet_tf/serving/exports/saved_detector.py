"""Exports a detector to a SavedModel with the signature of the TF Object Detection API."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.detection import prepare_picture
from nasnet_tf.serving.exports import card, manifest
from nasnet_tf.serving.exports.describing import describe
from nasnet_tf.serving.exports.exporting import ExportRequest, new_folder
from nasnet_tf.serving.exports.inference_graph import for_any_batch
from nasnet_tf.serving.exports.saved_model import DESCRIPTIONS
from nasnet_tf.training.variables import named_weights

_CHECKED = 2  # number of noise images on which the SavedModel is compared with the model
_MOST_DIFFERENCE = 0.05  # largest accepted difference of a score; rounding decides which one of two similar boxes is kept


class SavedDetector(tf.Module):
    """The object that is saved: two signatures around one graph, and the weights by name."""

    def __init__(self, model: keras.Model, data_description: dict):
        super().__init__()
        side = data_description["image_size"]
        ids = tf.constant(data_description["category_ids"], tf.float32)
        self.weights = named_weights(model)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)])
        def find(prepared):
            found = for_any_batch(lambda images: model(images, training=False))(prepared)
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


def export_detector(
    model: keras.Model,
    data_description: dict,
    folder: pathlib.Path,
    evaluations: Sequence[Mapping] = (),
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Writes a SavedModel with the model's weights and checks it. An export that fails leaves nothing behind.

    Its signatures:
      serving_default: input_tensor uint8 [batch, height, width, 3] of any size -> detection_boxes float32 [batch, n, 4], (ymin, xmin, ymax,
        xmax) as fractions of the picture's sides; detection_classes float32 [batch, n], the category ids of the annotations;
        detection_scores float32 [batch, n], highest first; num_detections float32 [batch]. The rows after the last detection are 0.
      detect_encoded: encoded string [batch], whole image files of any size -> the same.

    Args:
      data_description: as DetectionData.description gives it.
      evaluations, report: as for nasnet_tf.serving.exports.exporting.export.

    Returns:
      The content of manifest.json.

    Raises:
      InputError: the folder exists and is not empty, or the SavedModel does not find what the model finds.
    """
    module = SavedDetector(model, data_description)
    with new_folder(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=module.graph_signatures)
        for name, content in zip(DESCRIPTIONS, (json.loads(model.to_json()), data_description), strict=True):
            (temporary / name).write_text(json.dumps(content, indent=1))
        difference = _difference(temporary, model, data_description["image_size"])
        basis = f"{_CHECKED} images of noise"
        line = f"saved_model.pb on {basis}: largest difference of scores {difference:.2g}"
        if not difference <= _MOST_DIFFERENCE:  # True for NaN too
            raise InputError(f"{line}; expected at most {_MOST_DIFFERENCE}: not exported")
        report(line)
        facts = {"evaluations": list(evaluations), "checked_on": basis, "checks": {".": {"largest_difference": difference}}}
        said = manifest.write(temporary, {**describe(model, data_description), **facts})
        card.write(temporary, said)
    return said


def export_on_request(model: keras.Model, data_description: dict, folder: pathlib.Path, request: ExportRequest) -> dict:
    """Exports a detector as requested; see `export_detector`."""
    if tuple(request.formats) != ("saved_model",) or request.images or request.evaluation_files:
        raise InputError("--format, --images, --evaluation: expected a classifier; a detector is exported as a SavedModel without them")
    return export_detector(model, data_description, folder, request.evaluations, request.report)


def _difference(folder: pathlib.Path, model: keras.Model, side: int) -> float:
    """Returns the largest difference between the sorted scores of the SavedModel, read by TensorFlow alone, and of the model."""
    images = np.random.RandomState(0).randint(0, 256, [_CHECKED, side, side, 3]).astype(np.uint8)
    found = tf.saved_model.load(str(folder)).signatures["serving_default"](input_tensor=tf.constant(images))
    expected = model(tf.stack([prepare_picture(image, side) for image in images]), training=False)
    return float(np.abs(found["detection_scores"] - expected["detection_scores"]).max())
