"""Writes a network in the formats that products use: python -m nasnet_tf.export --workdir=runs/cifar --output=exports/cifar."""

import itertools
import pathlib

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import find_images
from nasnet_tf.cli import command, flags

_FORMATS = ["saved_model", "serving", "keras", "tflite", "onnx"]


def main(arguments: list[str]) -> None:
    """Exports the best or the last weights of a training, or any network that load_nasnet knows."""
    output = pathlib.Path(flags.FLAGS.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output: expected a new folder, but {output} exists and is not an empty one")
    flags.check_writable(output, "output")
    workdir = flags.trained_workdir() if flags.named_model() is None else None
    images = list(itertools.chain.from_iterable(map(find_images, flags.FLAGS.images)))
    terminal.import_tensorflow()
    from nasnet_tf.cli import task_kinds
    from nasnet_tf.models.network import inference_model
    from nasnet_tf.serving.exports import evaluations
    from nasnet_tf.serving.exports.exporting import export
    from nasnet_tf.serving.hub.images import read_views
    from nasnet_tf.serving.hub.load import load_named
    from nasnet_tf.training import checkpoints, work_folder

    if workdir is None:
        called = flags.FLAGS.model + (" with fresh, untrained weights" if flags.FLAGS.weights == "none" else "")
        model, data_description = load_named(flags.FLAGS.model, flags.FLAGS.weights, flags.FLAGS.resize)
        figures = evaluations.of_export(flags.FLAGS.model, model)
    else:
        model, data_description = work_folder.read_description(workdir, flags.FLAGS.dtype_policy)
        step = checkpoints.load_trained(workdir, model, flags.FLAGS.checkpoint, flags.FLAGS.ema)
        called = f"the {flags.FLAGS.checkpoint} checkpoint, of step {step}"
        figures = evaluations.of_workdir(workdir, step, flags.FLAGS.ema)
    kind = task_kinds.kind_of(workdir or flags.FLAGS.model)
    if kind.export is export:
        figures += evaluations.of_files(flags.FLAGS.evaluation, inference_model(model))
        pictures = read_views(images, data_description["preprocessing"]) if images else None
        if images and len(images) > len(pictures):
            print(f"--images: {len(pictures)} of {len(images)} pictures are used, spread evenly")
        options = {"pictures": pictures, "version": flags.FLAGS.version, "evaluations": figures, "report": print}
        export(model, data_description, output, flags.FLAGS.format, **options)
    elif flags.FLAGS.format != ["saved_model"] or images or flags.FLAGS.evaluation:
        raise InputError("--format, --images, --evaluation: are for classifiers; what this is is exported as a SavedModel only")
    else:
        kind.export(model, data_description, output, evaluations=figures, report=print)
    print(f"exported {called}: {output}")


def define_flags() -> None:
    """The flags of this door."""
    flags.define_network_flags()
    flags.define_required("output", "A new folder.")
    flags.DEFINE_multi_enum("format", ["saved_model"], _FORMATS, "May be repeated; docs/export_and_serve.md tells of each.")
    text = "Pictures to check with and to calibrate int8 with: files, folders, patterns; 256 of them at most. Else noise."
    flags.DEFINE_multi_string("images", [], text)
    text = "What evaluate --model=... --output=FILE wrote of this network, for the manifest; of a work folder it is found there."
    flags.DEFINE_multi_string("evaluation", [], text)
    flags.DEFINE_integer("version", 1, "Of the serving format.", lower_bound=1)
    flags.DEFINE_string("dtype_policy", None, "For a work folder: float32, mixed_bfloat16 or mixed_float16; without it, as in training.")


if __name__ == "__main__":
    command.run(main, define_flags)
