"""Draws a genotype as the paper's figures 4, 8 and 9 do: python -m nasnet_tf.draw nasnet_a --output=nasnet_a.svg."""

import pathlib

from absl import flags

from nasnet_tf import cli
from nasnet_tf.errors import InputError


def main(arguments: list[str]) -> None:
    """Writes the diagram of one genotype."""
    from nasnet_tf.genotype import load_genotype
    from nasnet_tf.viz.diagram import draw_genotype, save_figure

    if len(arguments) != 1:
        raise InputError(f"draw: expected one genotype, the name of a published one or the path of a textproto; got {len(arguments)}")
    output = pathlib.Path(cli.FLAGS.output)
    save_figure(draw_genotype(load_genotype(arguments[0])), output)
    print(f"diagram: {output}")


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "An .svg or .png.", required=True)
    cli.run(main)
