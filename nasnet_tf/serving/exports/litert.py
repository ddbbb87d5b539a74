"""Writes TFLite files for LiteRT, which runs on phones and small machines."""

import pathlib

import tensorflow as tf

from nasnet_tf.serving.exports.export_input import ExportInput


def write(given: ExportInput, path: pathlib.Path, precision: str) -> None:
    """Writes a TFLite file with one signature: images [batch, height, width, 3] -> logits, probabilities float32 [batch, num_classes].

    Args:
      precision: "float32"; "float16" or "dynamic_int8", which store the weights in this type; or "int8", which also computes in it. Files
        of "int8" take uint8 images in 0..255, all others float32 images in [0, 1].
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(given.frozen.name, signature_keys=["serving_default"])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ({"images": image[None]} for image in given.calibration_pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.inference_input_type = tf.uint8
    path.write_bytes(converter.convert())
