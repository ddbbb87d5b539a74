"""Writes a network in the formats that products use.

  # Exports the best checkpoint of a training as a SavedModel.
  nasnet export --workdir=runs/digits --output=exports/digits
  # Exports the public weights for LiteRT.
  nasnet export --model=mobile --output=exports/mobile --format=tflite

Guide: docs/export_and_serve.md
"""

import itertools

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import find_images, user_path
from nasnet_tf.cli import command, flags

_FORMATS = ["saved_model", "serving", "keras", "tflite", "onnx"]


def main(arguments: list[str]) -> None:
    """Exports the best or the last weights of a training, or any network that load_nasnet knows."""
    output = user_path(flags.FLAGS.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output: expected a new or empty folder, but {output} is neither")
    flags.check_writable(output, "output")
    workdir = flags.trained_workdir() if flags.named_model() is None else None
    images = list(itertools.chain.from_iterable(map(find_images, flags.FLAGS.images)))
    terminal.import_tensorflow()
    from nasnet_tf.recipes.tasks import task_of
    from nasnet_tf.serving.exports import evaluations
    from nasnet_tf.serving.exports.exporting import ExportRequest
    from nasnet_tf.serving.hub.load import load_named
    from nasnet_tf.serving.hub.naming import resolve
    from nasnet_tf.training import checkpoints, work_folder

    if workdir is None:
        called = flags.FLAGS.model + (" with fresh, untrained weights" if flags.FLAGS.weights == "none" else "")
        source = resolve(flags.FLAGS.model)
        model, description = load_named(source, flags.FLAGS.weights, flags.FLAGS.resize)
        rows = evaluations.of_export(source.path, model)
    else:
        model, description = work_folder.read_description(workdir, flags.FLAGS.dtype_policy or "float32")
        step = checkpoints.load_trained(workdir, model, flags.FLAGS.checkpoint, flags.FLAGS.ema)
        called = f"the {flags.FLAGS.checkpoint} checkpoint, of step {step}"
        rows = evaluations.of_workdir(workdir, step, flags.FLAGS.ema)
    request = ExportRequest(flags.FLAGS.format, flags.FLAGS.version, rows, print, images, flags.FLAGS.evaluation)
    if flags.FLAGS.license is not None:
        description = {**description, "license": flags.FLAGS.license}
    task_of(description, workdir or flags.FLAGS.model).export(model, description, output, request)
    print(f"exported {called}: {output}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_network_flags()
    flags.define_required("output", "The folder to write, new or empty.")
    text = "A format. Can be repeated. docs/export_and_serve.md compares the formats."
    flags.DEFINE_multi_enum("format", ["saved_model"], _FORMATS, text)
    text = "Images for checks and to calibrate int8. Files, folders or patterns; at most 256 are used. By default noise. Can be repeated."
    flags.DEFINE_multi_string("images", [], text)
    text = "With --model: a result of evaluate --output=FILE. It goes into the manifest. With --workdir it is found there. Can be repeated."
    flags.DEFINE_multi_string("evaluation", [], text)
    text = "The license of the weights, such as apache-2.0. You choose it. Without it, the model card states no license."
    flags.DEFINE_string("license", None, text)
    flags.DEFINE_integer("version", 1, "The version number of the serving format.", lower_bound=1)
    text = "With --workdir: mixed_bfloat16 or mixed_float16, for the format saved_model alone. The default is float32."
    flags.DEFINE_string("dtype_policy", None, text)


if __name__ == "__main__":
    command.run(main, define_flags)
