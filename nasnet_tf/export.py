"""Writes a network in the formats that products use: python -m nasnet_tf.export --workdir=runs/cifar --output=exports/cifar."""

import itertools
import pathlib

from absl import flags

from nasnet_tf import cli
from nasnet_tf.errors import InputError
from nasnet_tf.files import find_images

_FORMATS = ["saved_model", "serving", "keras", "tflite", "onnx"]


def main(arguments: list[str]) -> None:
    """Exports the best or the last weights of a training, or any network that load_nasnet knows."""
    output = pathlib.Path(cli.FLAGS.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output: expected a new folder, but {output} exists and is not an empty one")
    cli.check_writable(output, "output")
    workdir = cli.trained_workdir() if cli.named_model() is None else None
    images = list(itertools.chain.from_iterable(map(find_images, cli.FLAGS.images)))
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.models.network import inference_model
    from nasnet_tf.serving import evaluations
    from nasnet_tf.serving.exporting import export
    from nasnet_tf.serving.images import read_views
    from nasnet_tf.serving.sources import load_named
    from nasnet_tf.training import checkpoints

    if workdir is None:
        called = cli.FLAGS.model + (" with fresh, untrained weights" if cli.FLAGS.weights == "none" else "")
        model, data_description = load_named(cli.FLAGS.model, cli.FLAGS.weights, cli.FLAGS.resize)
        figures = evaluations.of_export(cli.FLAGS.model, model)
    else:
        model, data_description = checkpoints.read_description(workdir, cli.FLAGS.dtype_policy)
        step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
        called = f"the {cli.FLAGS.checkpoint} checkpoint, of step {step}"
        figures = evaluations.of_workdir(workdir, step, cli.FLAGS.ema)
    kind = kinds.kind_of(workdir or cli.FLAGS.model)
    if kind.export is export:
        figures += evaluations.of_files(cli.FLAGS.evaluation, inference_model(model))
        pictures = read_views(images, data_description["preprocessing"]) if images else None
        if images and len(images) > len(pictures):
            print(f"--images: {len(pictures)} of {len(images)} pictures are used, spread evenly")
        options = {"pictures": pictures, "version": cli.FLAGS.version, "evaluations": figures, "report": print}
        export(model, data_description, output, cli.FLAGS.format, **options)
    elif cli.FLAGS.format != ["saved_model"] or images or cli.FLAGS.evaluation:
        raise InputError("--format, --images, --evaluation: are for classifiers; what this is is exported as a SavedModel only")
    else:
        kind.export(model, data_description, output, evaluations=figures, report=print)
    print(f"exported {called}: {output}")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_network_flags()
    flags.DEFINE_string("output", None, "A new folder.", required=True)
    flags.DEFINE_multi_enum("format", ["saved_model"], _FORMATS, "May be repeated; docs/export_and_serve.md tells of each.")
    text = "Pictures to check with and to calibrate int8 with: files, folders, patterns; 256 of them at most. Else noise."
    flags.DEFINE_multi_string("images", [], text)
    text = "What evaluate --model=... --output=FILE wrote of this network, for the manifest; of a work folder it is found there."
    flags.DEFINE_multi_string("evaluation", [], text)
    flags.DEFINE_integer("version", 1, "Of the serving format.", lower_bound=1)
    flags.DEFINE_string("dtype_policy", None, "For a work folder: float32, mixed_bfloat16 or mixed_float16; without it, as in training.")


if __name__ == "__main__":
    cli.run(main, define_flags)
