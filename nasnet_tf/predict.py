"""Classifies image files.

  # Names what a photo shows, with public weights that are downloaded once.
  nasnet predict photo.jpg --model=mobile
  # Classifies all pictures of a folder with a training of yours.
  nasnet predict photos/test --model=runs/mine --output=predictions.json

Guide: docs/use.md
"""

import base64
import contextlib
import itertools
import json
import mimetypes
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import IO

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import find_images, naming, shown
from nasnet_tf.cli import command, flags
from nasnet_tf.data.numpy_decoding import is_sixteen_bits
from nasnet_tf.serving.exports.engines import ENGINES
from nasnet_tf.serving.hub.engine_classifier import find_classifier


def main(arguments: list[str]) -> None:
    """Prints the most probable classes of each file as soon as they are known."""
    files = list(itertools.chain.from_iterable(map(find_images, arguments)))
    if not files:
        raise InputError("predict: expected image files, folders or patterns, e.g. python -m nasnet_tf.predict photo.jpg --model=mobile")
    output = flags.new_output()
    if output is not None and output.exists() and any(map(output.samefile, files)):
        raise InputError(f"--output: expected a file for the results, but {output} is one of the images")
    folder = flags.new_folder("explain")
    places = {} if folder is None else flags.pictures_in(folder, files, "explain")
    weights = None if flags.FLAGS.weights == "none" else flags.FLAGS.weights
    predictor = find_classifier(flags.FLAGS.model, _engine(needs_gradients=folder is not None), weights, flags.FLAGS.trust_graph)
    if predictor is not None:
        preprocessing, mode = predictor.preprocessing, contextlib.nullcontext()
    else:
        terminal.import_tensorflow()
        from nasnet_tf.recipes.tasks import task_of
        from nasnet_tf.serving.hub.naming import resolve

        source = resolve(flags.FLAGS.model)
        description = source.description()
        predictor = task_of(description, source.path).predictor(source, weights, flags.FLAGS.trust_graph)
        preprocessing, mode = description.get("preprocessing", {}), _eagerly(len(files) <= flags.FLAGS.batch_size)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext() if output is None else _opened(output) as rows, mode:
        undecodable = _predict(predictor, files, rows, preprocessing, places)
    if undecodable:
        raise InputError(f"{len(undecodable)} of {len(files)} files cannot be decoded as images: {', '.join(undecodable)}")


def _engine(needs_gradients: bool) -> str:
    """Returns --engine, or "tensorflow" if gradients are needed, because no other engine has them."""
    engine = flags.FLAGS.engine
    if not needs_gradients:
        return engine
    if engine not in ("auto", "tensorflow"):
        raise InputError(f"--explain: expected --engine=tensorflow, because it needs gradients, got --engine={engine}")
    return "tensorflow"


@contextlib.contextmanager
def _opened(output: pathlib.Path) -> Iterator[IO[str]]:
    with naming(output), output.open("w") as rows:
        yield rows


@contextlib.contextmanager
def _eagerly(is_wanted: bool) -> Iterator[None]:
    """Runs graph functions op by op inside the `with` if wanted. A single batch then takes a second; tracing a graph first takes three."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(is_wanted)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _predict(
    predictor, files: list[pathlib.Path], rows: IO[str] | None, preprocessing: Mapping, places: Mapping[pathlib.Path, pathlib.Path]
) -> list[str]:
    """Prints and writes the answers, and saves their explanations.

    Args:
      predictor: predictor of the network.
      files: the image files.
      rows: file for the answers as JSON; None for no file.
      preprocessing: preprocessing of the network, from its data.json.
      places: path of the explanation of each image file; empty for no explanations.

    Returns:
      The files that cannot be decoded, each with the reason.
    """
    undecodable = []
    for start in range(0, len(files), flags.FLAGS.batch_size):
        batch = files[start : start + flags.FLAGS.batch_size]
        contents = [path.read_bytes() for path in batch]
        if start == 0 and any(map(is_sixteen_bits, contents)):
            _note_white(contents, preprocessing)
        for path, content, answer in zip(batch, contents, predictor.answers(contents), strict=True):
            if isinstance(answer, InputError):
                undecodable.append(f"{shown(path)} ({answer})")
                row = {"file": shown(path), "error": f"cannot be decoded as an image: {answer}"}
            else:
                text, fields = predictor.describe(answer, flags.FLAGS.top, flags.FLAGS.threshold)
                row = {"file": shown(path), **fields}
                if path in places:
                    predictor.explain(content).save(places[path])
                    row["explanation"] = shown(places[path])
                print(f"{shown(path)}: {text}", flush=True)
                if flags.FLAGS.embed_images:
                    kind = mimetypes.guess_type(path.name)[0] or "image/jpeg"
                    row["image"] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            if rows:
                print(json.dumps(row), file=rows, flush=True)
    return undecodable


def _note_white(contents: list[bytes], preprocessing: Mapping) -> None:
    """Prints which value counts as white in 16-bit PNG files."""
    from nasnet_tf.data.sixteen_bits import WHITE, white_note

    if note := white_note(contents, preprocessing.get("white_level", WHITE)):
        print(note, file=sys.stderr, flush=True)


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_required("model", "A name such as mobile, an export, or the work folder of a training.")
    text = "For a name: trained, none or a weights file. The value trained means the public weights, none random weights."
    flags.DEFINE_string("weights", "trained", text)
    text = "The engine that runs the network. auto is the fastest one whose package is installed and for which the export has a file."
    flags.DEFINE_enum("engine", "auto", list(ENGINES), text)
    flags.DEFINE_bool("trust_graph", False, "Run the graph in an export, if you trust it. A graph can do anything to your files.")
    text = "The highest number of classes to print, by default 5. If images have several labels, the default is all above the threshold."
    flags.DEFINE_integer("top", None, text, lower_bound=1)
    text = "The lowest probability of a class to print, by default 0. If images have several labels, the default is 0.5."
    flags.DEFINE_float("threshold", None, text, lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_integer("batch_size", 16, "The images per batch.", lower_bound=1)
    flags.DEFINE_string("output", None, "A file for the results, one line of JSON per image. The command report reads predictions.json.")
    text = "A folder for pictures of where the network saw the class. They are PNG files with Grad-CAM colors for the most probable class."
    flags.DEFINE_string("explain", None, text)
    flags.DEFINE_bool("embed_images", False, "Write the images into the output too. A report then needs no other files.")


if __name__ == "__main__":
    command.run(main, define_flags, "Image files, folders with subfolders, or patterns such as '*.png'.")
