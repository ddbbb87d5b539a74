"""Writes a trained network as a SavedModel: python -m nasnet_tf.export --workdir=runs/cifar --output=exports/cifar."""

import pathlib

from absl import flags

from nasnet_tf import cli
from nasnet_tf.errors import InputError


def main(arguments: list[str]) -> None:
    """Exports the best or the last weights of a training."""
    workdir, output = cli.trained_workdir(), pathlib.Path(cli.FLAGS.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output: expected a new folder, but {output} exists and is not an empty one")
    cli.check_writable(output, "output")
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.training import checkpoints

    model, data_description = checkpoints.read_description(workdir)
    step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
    kinds.kind_of(workdir).export(model, data_description, output)
    print(f"exported the {cli.FLAGS.checkpoint} checkpoint, of step {step}: {output}")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_workdir_flag("Of a training.")
    flags.DEFINE_string("output", None, "A new folder.", required=True)
    flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which weights; best is last where training evaluated nothing.")
    flags.DEFINE_bool("ema", True, "Moving averages of the weights, where the training kept them.")


if __name__ == "__main__":
    cli.run(main, define_flags)
