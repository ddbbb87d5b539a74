"""Inference of the mobile network by engine, on one thread, compared with conversions of keras.applications' network.

OpenVINO is measured if it is installed (`pip install openvino`).
"""

import functools
import importlib.util
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from nasnet_tf.models.network import build_network
from nasnet_tf.serving.exports import engines, litert, onnx_files
from nasnet_tf.serving.exports.export_input import ExportInput
from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, Sample, alone, in_turns

_OURS, _THEIRS = "ours", "keras"  # stems of the files
_LEVELS = {
    "no optimizations": "ORT_DISABLE_ALL",
    "basic optimizations": "ORT_ENABLE_BASIC",
    "extended optimizations": "ORT_ENABLE_EXTENDED",
    "all optimizations": "ORT_ENABLE_ALL",
}
_ORT, _OPENVINO = "ONNX Runtime, all optimizations", "OpenVINO"
_PEER = "keras.applications"


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows of each batch size. All engines and both networks are measured in turns in one process."""
    with tempfile.TemporaryDirectory(dir=options.workdir) as folder:
        alone(write, folder, options.quick)
        for batch_size in (1, 32):
            ours, theirs, int8 = alone(runs, folder, batch_size, options.rounds, options.quick)
            yield from rows(ours, theirs, int8, batch_size)


def rows(ours: dict[str, list[Sample]], theirs: dict[str, list[Sample]], int8: list[Sample], batch_size: int) -> Iterator[Row]:
    """Yields the rows of a batch size.

    Args:
      ours, theirs: {engine: samples} of the float32 network.
      int8: samples of our int8 file in ONNX Runtime.
    """

    def row(what: str, samples: list[Sample], peer: str, peers: list[Sample] | None, goal: str = "") -> Row:
        pair = {"ours": samples, **({peer: peers} if peers else {})}
        return Row(f"mobile, batch {batch_size}, one thread: {what}", "images/s", pair, goal, batch_size)

    for engine, samples in ours.items():
        yield row(engine, samples, _PEER, theirs.get(engine))
    if _OPENVINO in ours:
        yield row("ONNX against OpenVINO, our file", ours[_ORT], _OPENVINO, ours[_OPENVINO])
    best, their_best = fastest(ours), fastest(theirs)
    yield row(f"the fastest: {best}", ours[best], f"{_PEER}, {their_best}", theirs[their_best], "1.3")
    yield row("int8 against float32, our files", int8, "float32", ours[_ORT], "2 with VNNI")


def fastest(samples: dict[str, list[Sample]]) -> str:
    """Returns the engine with the least median of processor time."""
    return min(samples, key=lambda engine: statistics.median(cpu for _, cpu in samples[engine]))


def write(folder: str, quick: bool) -> None:
    """Writes both networks into a folder: ours as `export` does, the peer's as tf2onnx and TensorFlow write it."""
    import tf2onnx.convert  # noqa: PLC0415  only this row needs it

    case, path = find_case("mobile", quick), pathlib.Path(folder)
    noise = np.random.default_rng(0).random([4, case.image_size, case.image_size, 3], np.float32)
    said = {
        "class_names": [str(number) for number in range(case.classes)],
        "preprocessing": {"kind": "imagenet", "image_size": case.image_size},
    }
    ours = ExportInput(build_network(case.genotype, case.config, case.classes, case.image_size), said, noise)
    onnx_files.write(ours, path / f"{_OURS}.onnx", "float32")
    onnx_files.write(ours, path / f"{_OURS}_int8.onnx", "int8")
    litert.write(ours, path / f"{_OURS}.tflite", "float32")
    shutil.copytree(ours.frozen.name, path / _OURS)

    theirs, module = case.theirs(), tf.Module()

    @tf.function(autograph=False, input_signature=[ours.images_spec])
    def infer(images):
        return {"probabilities": tf.identity(tf.nn.softmax(theirs(2.0 * images - 1.0, training=False)), "probabilities")}

    module.model, module.serve = theirs, infer
    tf.saved_model.save(module, str(path / _THEIRS), signatures={"serving_default": infer})
    tf2onnx.convert.from_function(infer, input_signature=[ours.images_spec], opset=18, output_path=str(path / f"{_THEIRS}.onnx"))


def runs(folder: str, batch_size: int, rounds: int, quick: bool) -> tuple[dict, dict, list]:
    """Returns the arguments of `rows`."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    size = find_case("mobile", quick).image_size
    images = np.random.default_rng(0).random([batch_size, size, size, 3], np.float32)
    calls = {
        f"{network}/{engine}": call
        for network in (_OURS, _THEIRS)
        for engine, call in _calls(pathlib.Path(folder, network), images).items()
    }
    calls["int8"] = _in_onnx_runtime(pathlib.Path(folder, f"{_OURS}_int8.onnx"), images, _LEVELS["all optimizations"])
    answers = {name: call() for name, call in calls.items()}
    for name, answer in answers.items():
        if name != "int8":
            np.testing.assert_allclose(answer, answers[f"{name.split('/')[0]}/{_ORT}"], atol=1e-4, err_msg=name)
    samples = in_turns(calls, rounds if quick else rounds * max(1, 8 // batch_size), warm_up=1)
    ours, theirs = (
        {name.split("/")[1]: each for name, each in samples.items() if name.startswith(f"{network}/")} for network in (_OURS, _THEIRS)
    )
    return ours, theirs, samples["int8"]


def _calls(path: pathlib.Path, images: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Returns {engine: function that runs it on the images} for the files of a network."""
    onnx, lite, serve = path.with_suffix(".onnx"), path.with_suffix(".tflite"), tf.saved_model.load(str(path))
    calls = {f"ONNX Runtime, {level}": _in_onnx_runtime(onnx, images, name) for level, name in _LEVELS.items()}
    if importlib.util.find_spec("openvino"):
        calls[_OPENVINO] = _in_openvino(onnx, images)
    if lite.is_file():
        calls["LiteRT"] = functools.partial(engines.open_tflite(lite), images)
    calls["TensorFlow, a SavedModel"] = lambda: serve.signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()
    return calls


def _in_onnx_runtime(path: pathlib.Path, images: np.ndarray, level: str) -> Callable[[], np.ndarray]:
    import onnxruntime  # noqa: PLC0415  only this row needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["probabilities"], {"images": images})[0]


def _in_openvino(path: pathlib.Path, images: np.ndarray) -> Callable[[], np.ndarray]:
    import openvino  # noqa: PLC0415  an option

    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape({"images": images.shape})  # a fixed shape is its fastest case
    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", options)
    return lambda: compiled(images)["probabilities"]
