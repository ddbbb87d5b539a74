"""Detects objects in images.

  # Prints the objects in the pictures of a folder and draws boxes around them.
  nasnet detect photos --model=runs/detector --output=found
  # Prints objects that an exported detector is less sure of, too.
  nasnet detect photo.jpg --model=exports/detector --least_score=0.2

Guide: docs/detect.md
"""

import itertools
import json

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import find_images, naming, replace_file, shown
from nasnet_tf.cli import command, flags


def main(arguments: list[str]) -> None:
    """Prints the objects in each image. With --output, also writes the images with boxes, and detections.json."""
    files = list(itertools.chain.from_iterable(map(find_images, arguments)))
    if not files:
        raise InputError("detect: expected image files, folders or patterns, e.g. python -m nasnet_tf.detect photo.jpg --model=runs/cells")
    output = flags.new_folder()
    places = {} if output is None else flags.pictures_in(output, files, "output")
    terminal.import_tensorflow()
    from nasnet_tf.data.decoding import decode_image
    from nasnet_tf.serving.hub.detector import load_detector
    from nasnet_tf.viz.detections import draw_detections

    detector = load_detector(flags.FLAGS.model)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    rows, undecodable = [], []
    for start in range(0, len(files), flags.FLAGS.batch_size):
        batch = files[start : start + flags.FLAGS.batch_size]
        contents = [path.read_bytes() for path in batch]
        for path, content, answer in zip(batch, contents, detector.answers(contents, flags.FLAGS.least_score), strict=True):
            if isinstance(answer, InputError):
                undecodable.append(f"{shown(path)} ({answer})")
                rows.append({"file": shown(path), "error": f"cannot be decoded as an image: {answer}"})
                continue
            text, fields = detector.describe(answer, len(answer))
            print(f"{shown(path)}: {text}", flush=True)
            rows.append({"file": shown(path), **fields})
            if output is not None:
                rows[-1]["picture"] = places[path].name
                figure = draw_detections(decode_image(content).numpy(), [(each.name, each.score, each.box) for each in answer])
                with naming(places[path]):
                    figure.savefig(places[path])
    if output is not None:
        replace_file(output / "detections.json", json.dumps(rows, indent=1))
        print(f"written: {output}")
    if undecodable:
        raise InputError(f"{len(undecodable)} of {len(files)} files cannot be decoded as images: {', '.join(undecodable)}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_required("model", "A detector: the work folder of its training, or an export.")
    flags.DEFINE_string("output", None, "A folder for the images with boxes and detections.json.")
    flags.DEFINE_float("least_score", 0.5, "Leave out detections with a lower score.", lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_integer("batch_size", 8, "The images per batch.", lower_bound=1)


if __name__ == "__main__":
    command.run(main, define_flags, "Image files, folders with subfolders, or patterns such as '*.png'.")
