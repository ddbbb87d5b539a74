"""Exports a network in the formats that products use; each file is checked against the live network.

An export is a folder:

saved_model.pb, variables/   saved_model: for fine-tuning, TF-Hub, load_nasnet
serving/<version>/           serving: frozen, for TensorFlow Serving
model.keras                  keras: for Keras and load_nasnet
tflite/<precision>.tflite    tflite: for LiteRT
onnx/<precision>.onnx        onnx: for ONNX Runtime
model.json, data.json        the network, its classes and preprocessing
manifest.json                describes the network and all other files, with checksums
README.md                    the card: manifest.json as text for people and model hubs
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import check_local, naming, user_path
from nasnet_tf.models.network import inference_model
from nasnet_tf.serving.exports import card, engines, in_memory, keras_archive, litert, manifest, onnx_files, saved_model, tf_serving
from nasnet_tf.serving.exports.describing import describe
from nasnet_tf.serving.exports.evaluations import of_files
from nasnet_tf.serving.exports.export_input import ExportInput, in_batches, read_views


@dataclasses.dataclass(frozen=True)
class Format:
    """One way to write a network.

    Attributes:
      path: file or folder inside the export.
      write: (ExportInput, path) -> None.
      open: (path, ExportInput) -> function from images float32 [batch, height, width, 3] in [0, 1] to probabilities, run by the loader
        that users of this format have.
      most_difference: largest accepted difference of a probability. Real networks differ by less than half of it
        (docs/benchmarks/inference.md).
      is_lossy: whether a file that differs more, or agrees in too few labels on the given pictures, is left out of the export. If False,
        a file that differs more is an error.
      is_calibrated: whether the format is calibrated with pictures. Without pictures it is left out.
    """

    path: str
    write: Callable[[ExportInput, pathlib.Path], None]
    open: Callable[[pathlib.Path, ExportInput], Callable[[np.ndarray], np.ndarray]]
    most_difference: float = 1e-4
    is_lossy: bool = False
    is_calibrated: bool = False


@dataclasses.dataclass(frozen=True)
class ExportRequest:
    """A request of the command `export`.

    Attributes:
      formats, version, evaluations, report: as for `export`.
      images: files to check with and to calibrate int8 formats with.
      evaluation_files: files that `evaluate --model=... --output=FILE` wrote for the network, for the manifest.
    """

    formats: Sequence[str] = ("saved_model",)
    version: int = 1
    evaluations: Sequence[Mapping] = ()
    report: Callable[[str], None] = print
    images: Sequence[pathlib.Path] = ()
    evaluation_files: Sequence[str] = ()


def _by_precision(module, engine: str, tolerances: Mapping[str, float]) -> tuple[Format, ...]:
    return tuple(
        Format(
            f"{engine}/{precision}.{engine}",
            functools.partial(module.write, precision=precision),
            lambda path, given: engines.open_file(path, engine),
            tolerance,
            precision != "float32",
            precision == "int8",
        )
        for precision, tolerance in tolerances.items()
    )


FORMATS: Mapping[str, tuple[Format, ...]] = {
    "saved_model": (Format(".", saved_model.write, lambda path, given: tf_serving.open_probabilities(path)),),
    "serving": (Format("serving/{version}", tf_serving.write, lambda path, given: tf_serving.open_probabilities(path)),),
    "keras": (Format("model.keras", keras_archive.write, keras_archive.open_probabilities),),
    "tflite": _by_precision(litert, "tflite", {"float32": 1e-4, "float16": 0.02, "dynamic_int8": 0.1, "int8": 0.25}),
    "onnx": _by_precision(onnx_files, "onnx", {"float32": 1e-4, "int8": 0.25}),
}
_KEEPS_PRECISION = "saved_model"  # the only format for networks that compute in another type than float32
_LEAST_AGREEMENT = 0.98  # smallest agreement of labels that a lossy file needs on the given pictures


def export(
    model: keras.Model,
    data_description: Mapping,
    folder: str | os.PathLike,
    formats: Collection[str] = ("saved_model",),
    *,
    pictures: np.ndarray | None = None,
    version: int = 1,
    evaluations: Sequence[Mapping] = (),
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Writes a network in one or more formats and checks each file. An export that fails leaves nothing behind.

    Args:
      model: a network from load_nasnet or build_network with a classifier, trained in any way.
      data_description: {"class_names": [...], "preprocessing": {...}}, as a training wrote it. The default of "preprocessing" is that of
        the paper's networks with this stem. "license" is the license of the weights, such as "apache-2.0", for the card.
      folder: a new or an empty folder.
      formats: keys of FORMATS.
      pictures: float32 [count, height, width, 3] in [0, 1], to check with and to calibrate int8 formats with. By default files are checked
        on noise, and nothing is calibrated.
      version: version of the `serving` format.
      evaluations: evaluation results of the network, for the manifest.
      report: function that gets a line about each file.

    Returns:
      The content of manifest.json.

    Raises:
      InputError: another kind of model, another number of class names than classes, a folder that is not empty, an unknown format, a
        missing package, a format that mixed precision does not have, wrong pictures, or a file that does not answer as the network does.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise InputError(f"export format {unknown[0]!r}: expected one of {', '.join(FORMATS)}")
    check_local(pathlib.Path(folder))
    network = in_memory.classifier_of(model)
    half = next((layer.compute_dtype for layer in network.layers if layer.compute_dtype not in (None, "float32")), None)
    if half and (others := [name for name in formats if name != _KEEPS_PRECISION]):
        raise InputError(f"export format {others[0]!r}: expected a network that computes in float32, got one in {half}")
    given = ExportInput(network, in_memory.described(network, data_description), pictures)
    if pictures is not None:
        _check_pictures(pictures, given.images_spec)
    basis = f"{len(given.checked_on)} images" + ("" if pictures is not None else " of noise")
    with new_folder(pathlib.Path(folder)) as temporary:
        saved_model.describe(given, temporary)
        checks = {}
        for row in (row for name in dict.fromkeys(formats) for row in FORMATS[name]):
            if row.is_calibrated and pictures is None:
                report(f"{row.path}: left out, because int8 is calibrated with pictures and none were given")
                continue
            path = row.path.format(version=version)
            checks[path] = _write(row, given, temporary / path, f"{path} on {basis}", report)
        facts = {"evaluations": list(evaluations), "checked_on": basis, "checks": {key: value for key, value in checks.items() if value}}
        said = manifest.write(temporary, {**describe(given.model, given.data_description), **facts})
        card.write(temporary, said)
    return said


def export_classifier(model: keras.Model, data_description: dict, folder: pathlib.Path, request: ExportRequest) -> dict:
    """Exports a classifier as requested; see `export`."""
    rows = [*request.evaluations, *of_files(request.evaluation_files, inference_model(model))]
    pictures = read_views(request.images, data_description["preprocessing"]) if request.images else None
    if pictures is not None and len(pictures) < len(request.images):
        request.report(f"--images: {len(pictures)} of {len(request.images)} pictures are used, spread evenly")
    return export(
        model,
        data_description,
        folder,
        request.formats,
        pictures=pictures,
        version=request.version,
        evaluations=rows,
        report=request.report,
    )


def _check_pictures(pictures: np.ndarray, spec: tf.TensorSpec) -> None:
    """Raises InputError unless pictures fit the specification, are at least one, and are in [0, 1]."""
    shape = spec.shape[1:]
    is_batch = isinstance(pictures, np.ndarray) and pictures.dtype == np.float32 and spec.shape.is_compatible_with(pictures.shape)
    if not (is_batch and len(pictures) and pictures.min() >= 0 and pictures.max() <= 1):
        got = f"{pictures.dtype} {list(pictures.shape)}" if isinstance(pictures, np.ndarray) else type(pictures).__name__
        got += f" in [{pictures.min():g}, {pictures.max():g}]" if is_batch and len(pictures) else ""
        raise InputError(f"pictures: expected float32 [1 or more, {', '.join(map(str, shape))}] in [0, 1], got {got}")


def _write(row: Format, given: ExportInput, path: pathlib.Path, called: str, report: Callable[[str], None]) -> dict | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row.write(given, path)
    actual = in_batches(row.open(path, given), given.checked_on)
    difference = float(np.abs(actual - given.expected).max())
    measure, agreement = given.agreement(actual)
    line = f"{called}: largest difference of probabilities {difference:.2g}, {measure} {agreement:.1%}"
    must_agree = row.is_lossy and given.pictures is not None
    if difference <= row.most_difference and (not must_agree or agreement >= _LEAST_AGREEMENT):  # both are False for NaN
        report(line)
        return {"largest_difference": difference, measure.replace(" ", "_").replace("-", "_"): agreement}
    limit = f"expected at most {row.most_difference}" + (f" and at least {_LEAST_AGREEMENT:.0%}" if must_agree else "")
    if not row.is_lossy:
        raise InputError(f"{line}; {limit}: not exported")
    report(f"{line}; {limit}: left out")
    path.unlink()
    return None


@contextlib.contextmanager
def new_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary folder and finally renames it, so that `folder` is never half an export. Errors and SIGTERM remove it."""
    check_local(folder)
    folder = user_path(folder).absolute()
    if folder.resolve() == pathlib.Path.cwd():
        raise InputError(f"{folder}: is the current folder, which an export cannot replace; name a new one, such as export")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder; an export needs a new one")
    temporary = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    try:
        with _ended_by_sigterm(), naming(folder):
            temporary.mkdir(parents=True)
            yield temporary
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM inside the `with` into an exception, so that every `finally` runs; by default it ends the process at once."""
    is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
