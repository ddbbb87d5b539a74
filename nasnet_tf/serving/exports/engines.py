"""The engines that can run an export, and the files of those that need no TensorFlow. Importing this module imports no engine."""

import pathlib
import threading
from collections.abc import Callable

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import is_installed

Run = Callable[[np.ndarray], np.ndarray]  # images float32 [batch, height, width, 3] in [0, 1] -> probabilities float32 [batch, num_classes]
# The fastest engine for one picture, once it is loaded, comes first (docs/benchmarks/inference.md). All are float32 files, which answer
# like TensorFlow.
FILES = {"onnx": "onnx/float32.onnx", "tflite": "tflite/float32.tflite"}
ENGINES = ("auto", "tensorflow", *FILES)
_MODULES = {"onnx": "onnxruntime", "tflite": "ai_edge_litert"}


def fastest(folder: pathlib.Path) -> str:
    """Returns the fastest engine that an export has a file for and whose packages are installed, or "tensorflow" if there is none."""
    held = [engine for engine, file in FILES.items() if (folder / file).is_file()]
    return next((engine for engine in held if is_installed(_MODULES[engine]) and is_installed("PIL")), "tensorflow")


def open_file(path: pathlib.Path, engine: str) -> Run:
    """Opens a file of an export with an engine. Several threads may call the function; a LiteRT file answers one call at a time.

    Args:
      engine: a key of FILES.

    Raises:
      InputError: the engine's package is not installed, or the file cannot be opened.
    """
    return {"onnx": open_onnx, "tflite": open_tflite}[engine](path)


def open_session(path: pathlib.Path):
    """Opens a file in ONNX Runtime and returns its session."""
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise InputError(f"onnx: cannot import the package onnxruntime ({error}); it comes with: pip install 'nasnet_tf[onnx]'") from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  ONNX Runtime's errors have no other class in common
        raise InputError(f"{path}: cannot be opened by ONNX Runtime: {_first_line(error)}") from error


def open_onnx(path: pathlib.Path) -> Run:
    """Opens an ONNX file as a function that runs in ONNX Runtime."""
    session = open_session(path)
    return lambda images: session.run(["probabilities"], {"images": images})[0]


def open_tflite(path: pathlib.Path) -> Run:
    """Opens a LiteRT file as a function that runs in LiteRT. For an int8 file, the function converts images to uint8."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"tflite: cannot import the package ai-edge-litert ({error}); it comes with: pip install 'nasnet_tf[tflite]'"
        ) from error
    try:
        interpreter = Interpreter(model_path=str(path))
        details = interpreter.get_signature_runner().get_input_details()["images"]
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: cannot be opened by LiteRT: {_first_line(error)}") from error
    is_integer, lock = details["dtype"] == np.uint8, threading.Lock()

    def run(images: np.ndarray) -> np.ndarray:
        images = np.round(images * 255).astype(np.uint8) if is_integer else images
        with lock:  # an interpreter cannot be called from two threads at a time
            interpreter.resize_tensor_input(details["index"], images.shape)
            return interpreter.get_signature_runner()(images=images)["probabilities"]

    return run


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
