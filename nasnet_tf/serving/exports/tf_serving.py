"""Writes a frozen SavedModel for TensorFlow Serving, <name>/<version>/, with requests that warm it up before clients use it."""

import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.serving.exports.export_input import ExportInput, answer
from nasnet_tf.serving.exports.inference_graph import for_any_batch

prediction_log_pb2 = OnDemand("tensorflow_serving.apis.prediction_log_pb2")

_WARM_UP = pathlib.Path("assets.extra/tf_serving_warmup_requests")  # where TensorFlow Serving looks for it
_WARM_UP_BATCHES = (1, 8)


class _Module(tf.Module):
    """The object that is saved: three signatures around one frozen network."""

    def __init__(self, given: ExportInput):
        super().__init__()
        preprocessing, (height, width) = given.preprocessing, given.model.input.shape[1:3]
        prepared_spec = tf.TensorSpec([height, width, 3], tf.float32)

        infer = for_any_batch(given.infer)

        @tf.function(autograph=False, input_signature=[given.images_spec])
        def classify(images):
            return answer(infer(preprocessing.normalize(images))["logits"], given.data_description)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "encoded")])
        def classify_encoded(encoded):
            prepared = tf.map_fn(preprocessing.evaluate, encoded, fn_output_signature=prepared_spec)
            return answer(infer(prepared)["logits"], given.data_description)

        @tf.function(autograph=False, input_signature=[given.images_spec])
        def features(images):
            return {"feature_vector": infer(preprocessing.normalize(images))["feature_vector"]}

        self.graph_signatures = {"serving_default": classify, "classify_encoded": classify_encoded, "image_feature_vector": features}


def write(given: ExportInput, folder: pathlib.Path) -> None:
    """Writes the folder of a version.

    Its signatures:
      serving_default: images float32 [batch, height, width, 3] in [0, 1] -> logits, probabilities float32 [batch, num_classes].
      classify_encoded: encoded string [batch], whole image files of any size -> the same.
      image_feature_vector: images as above -> feature_vector float32 [batch, features], the input of the classifier.
    """
    module = _Module(given)
    tf.saved_model.save(module, str(folder), signatures=module.graph_signatures)
    path = folder / _WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _warm_up_requests(given.checked_on):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            for name, value in inputs.items():
                log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _warm_up_requests(images: np.ndarray):
    for size in _WARM_UP_BATCHES:
        batch = images[np.arange(size) % len(images)]
        files = [tf.io.encode_jpeg(tf.image.convert_image_dtype(image, tf.uint8, saturate=True)).numpy() for image in batch]
        yield "serving_default", {"images": batch}
        yield "image_feature_vector", {"images": batch}
        yield "classify_encoded", {"encoded": files}


def open_probabilities(folder: pathlib.Path) -> Callable[[np.ndarray], np.ndarray]:
    """Opens a SavedModel; returns a function from images in [0, 1] to probabilities."""
    loaded = tf.saved_model.load(str(folder))
    return lambda images: loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()
