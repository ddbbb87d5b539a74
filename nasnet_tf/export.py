"""Writes a trained network as a SavedModel: python -m nasnet_tf.export --workdir=runs/cifar --output=exports/cifar."""

import pathlib

from absl import flags

from nasnet_tf import cli


def main(arguments: list[str]) -> None:
    """Exports the best or the last weights of a training."""
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.training import checkpoints

    workdir, output = pathlib.Path(cli.FLAGS.workdir), pathlib.Path(cli.FLAGS.output)
    model, data_description = checkpoints.read_description(workdir)
    step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
    kinds.kind_of(workdir).export(model, data_description, output)
    print(f"exported the {cli.FLAGS.checkpoint} checkpoint, of step {step}: {output}")


if __name__ == "__main__":
    cli.define_workdir_flag("Of a training.")
    flags.DEFINE_string("output", None, "A new folder.", required=True)
    flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which weights.")
    flags.DEFINE_bool("ema", True, "Moving averages of the weights, where the training kept them.")
    cli.run(main)
