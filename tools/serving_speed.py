"""Measures the speed of an export's formats, interleaved with keras.applications' NASNetMobile as a reference.

  python tools/serving_speed.py --export=exports/mobile --reference --images=photos/

The script prints for each format: size, loading time, time from loading to the first answer, latency at batch 1 (p50, p99), images per
second at batch 32, CPU time per image at both batch sizes, and top-1 agreement with the first format. CPU times are more reliable on a busy
machine. Each round measures all formats in turn, so that other load affects them equally. With --reference, NASNetMobile is measured in
graph mode and as an ONNX file.
"""

import argparse
import functools
import json
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np
from bench.timing import timed

Run = Callable[[np.ndarray], np.ndarray]
_ROUNDS_PER_BATCH = 4  # batches are measured in every fourth round only, because they take long
_PAUSE_SECONDS = 0.01  # ONNX Runtime's threads keep polling for work for a while after an answer


def openers(export: pathlib.Path, reference: bool) -> dict[str, tuple[Callable[[], Run], pathlib.Path | None]]:
    """Returns {format: (function that opens it, its path)} of the formats in an export; the path of a reference is None."""
    from nasnet_tf.serving.exports.export_input import ExportInput
    from nasnet_tf.serving.exports.exporting import FORMATS
    from nasnet_tf.serving.hub.load import load_named

    given = ExportInput(*load_named(str(export)))
    found = {}
    for name, rows in FORMATS.items():
        for row in rows:
            paths = sorted(export.glob(row.path.format(version="*"))) if row.path != "." else [export]
            if paths and (row.path != "." or (export / "saved_model.pb").is_file()):
                label = name if len(rows) == 1 else row.path
                found[label] = (lambda row=row, path=paths[-1]: row.open(path, given), paths[-1])
    if reference:
        size = given.model.input.shape[1]
        found["keras.applications"] = (lambda: _keras_applications(size), None)
        found["keras.applications, onnx"] = (lambda: _keras_applications_in_onnx(size), None)
    return found


def _keras_graph(size: int):
    import keras
    import tensorflow as tf

    model = keras.applications.NASNetMobile((size, size, 3), weights=None)
    spec = tf.TensorSpec([None, size, size, 3], tf.float32, "images")

    @tf.function(autograph=False, input_signature=[spec])
    def infer(images):
        return {"probabilities": tf.identity(model(2.0 * images - 1.0, training=False), "probabilities")}

    return infer, spec


def _keras_applications(size: int) -> Run:
    import tensorflow as tf

    infer, _ = _keras_graph(size)
    return lambda images: infer(tf.constant(images))["probabilities"].numpy()


def _keras_applications_in_onnx(size: int) -> Run:
    import tf2onnx.convert

    from nasnet_tf.serving.exports import engines

    infer, spec = _keras_graph(size)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "keras.onnx"
        tf2onnx.convert.from_function(infer, input_signature=[spec], opset=18, output_path=str(path))
        return engines.open_onnx(path)


def size_of(path: pathlib.Path) -> int:
    """Returns the bytes of a file or of the SavedModel in a folder."""
    parts = [path / "saved_model.pb", *(path / "variables").rglob("*")] if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts if part.is_file())


def measure(formats: dict, images: np.ndarray, rounds: int, batch: int) -> list[dict]:
    """Returns a row of measurements for each format."""
    rows, runs, samples = [], {}, {name: ([], []) for name in formats}
    for name, (opener, path) in formats.items():
        start = time.perf_counter()
        runs[name] = opener()
        loaded = time.perf_counter()
        runs[name](images[:1])
        answered = time.perf_counter()
        size = size_of(path) / 1e6 if path else None
        rows.append({"format": name, "mb": size, "load_s": loaded - start, "first_s": answered - loaded})
    many = np.resize(images, [batch, *images.shape[1:]])
    for number in range(rounds):
        for name, run in runs.items():
            for is_batch, asked in enumerate((images[number % len(images)][None], many)):
                if is_batch and number % _ROUNDS_PER_BATCH:
                    continue
                time.sleep(_PAUSE_SECONDS)
                sample = timed(functools.partial(run, asked))
                if number:  # the first round is a warm-up
                    samples[name][is_batch].append(sample)
    expected = None
    for row, (name, run) in zip(rows, runs.items(), strict=True):
        answers = np.concatenate([run(images[start : start + batch]) for start in range(0, len(images), batch)]).argmax(1)
        expected = answers if expected is None else expected
        (single, single_cpu), (whole, whole_cpu) = (np.transpose(each) for each in samples[name])
        row |= {
            "p50_ms": 1000 * np.percentile(single, 50),
            "p99_ms": 1000 * np.percentile(single, 99),
            f"images_per_second_at_{batch}": batch / np.median(whole),
            "cpu_ms": 1000 * np.median(single_cpu),
            f"cpu_ms_at_{batch}": 1000 * np.median(whole_cpu) / batch,
            "agreement": None if name.startswith("keras.applications") else float((answers == expected).mean()),
        }
    return rows


def main() -> None:
    """Prints the measurements of each format as a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=pathlib.Path, required=True, help="folder of an export with the format saved_model or keras")
    parser.add_argument("--reference", action="store_true", help="also measure keras.applications' NASNetMobile, as a graph and as ONNX")
    parser.add_argument("--images", help="file, folder or pattern of images; default: random noise")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    from nasnet_tf.base.files import find_images
    from nasnet_tf.serving.exports.export_input import read_views
    from nasnet_tf.serving.hub.load import load_named

    model, description = load_named(str(options.export))
    if options.images:
        images = read_views(find_images(options.images), description["preprocessing"])
    else:
        images = np.random.default_rng(0).random([64, *model.input.shape[1:]], np.float32)
    for row in measure(openers(options.export, options.reference), images, options.rounds, options.batch):
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}), flush=True)


if __name__ == "__main__":
    main()
