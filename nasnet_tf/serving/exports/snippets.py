"""Python snippets for the card of an export: how to load each of its formats. They run in its folder, beside a picture photo.jpg."""

from collections.abc import Iterator, Mapping

_NASNET = """
import nasnet_tf

classify = nasnet_tf.load_classifier("."{engine})
print(classify("photo.jpg"))  # names and probabilities
"""
_DETECTOR = """
import nasnet_tf

detect = nasnet_tf.load_detector(".")
print(detect("photo.jpg"))  # names, scores and boxes
"""
_SAVED_MODEL = """
import tensorflow as tf

model = tf.saved_model.load("{folder}")
with open("photo.jpg", "rb") as file:
    answer = model.signatures["{signature}"](encoded=tf.constant([file.read()]))
print(answer["{answer}"].numpy())
"""
_KERAS = """
import keras
import nasnet_tf  # registers the layers
import numpy as np

model = keras.models.load_model("model.keras")  # returns logits
images = np.zeros([1, {side}, {side}, 3], np.float32)  # RGB in [0, 1]
print(model.predict(nasnet_tf.preprocess(images, ".")))
"""
_ONNX = """
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
images = np.zeros([1, {side}, {side}, 3], np.float32)  # RGB in [0, 1]
print(session.run(["probabilities"], {{"images": images}})[0])
"""
_LITERT = """
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("{file}")
images = np.zeros([1, {side}, {side}, 3], np.float32)  # RGB in [0, 1]
print(interpreter.get_signature_runner()(images=images)["probabilities"])
"""


def is_detector(manifest: Mapping) -> bool:
    """Returns whether a manifest describes a detector, whatever its task is called."""
    return "kind" not in manifest["preprocessing"]


def snippets(manifest: Mapping) -> Iterator[tuple[str, str]]:
    """Yields (title, Python code) for each format that the manifest lists; the title names the format and the package that loads it."""
    files, side = manifest["files"], manifest["preprocessing"]["image_size"]
    if is_detector(manifest):
        yield "With nasnet_tf", _DETECTOR
        yield "The SavedModel, with TensorFlow alone", _saved_model(".", "detect_encoded", "detection_boxes")
        return
    engine = next((engine for engine in ("onnx", "tflite") if f"{engine}/float32.{engine}" in files), None)
    if "saved_model.pb" in files or "model.keras" in files:
        yield "With nasnet_tf", _NASNET.format(engine="")
    elif engine is not None:
        yield "With nasnet_tf", _NASNET.format(engine=f', engine="{engine}"')
    for file in files:
        folder, _, name = file.rpartition("/")
        if name == "saved_model.pb":
            called = f"The SavedModel{f' of `{folder}`' if folder else ''}, with TensorFlow alone"
            yield called, _saved_model(folder or ".", "classify_encoded", "probabilities")
    if "model.keras" in files:
        yield "`model.keras`, with Keras", _KERAS.format(side=side)
    if "onnx/float32.onnx" in files:
        yield "`onnx/float32.onnx`, with ONNX Runtime", _ONNX.format(file="onnx/float32.onnx", side=side)
    if "tflite/float32.tflite" in files:
        yield "`tflite/float32.tflite`, with LiteRT", _LITERT.format(file="tflite/float32.tflite", side=side)


def _saved_model(folder: str, signature: str, answer: str) -> str:
    return _SAVED_MODEL.format(folder=folder, signature=signature, answer=answer)
