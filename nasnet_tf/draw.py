"""Draws the cells of a genotype like the paper's figures 4, 8 and 9.

  # Draws the cells of a network of the paper.
  nasnet draw nasnet_a --output=nasnet_a.svg
  # Draws the best cells of a search.
  nasnet draw runs/search/best.textproto --output=best.png

Guide: docs/how_it_works.md
"""

from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import command, flags


def main(arguments: list[str]) -> None:
    """Writes the diagram of a genotype to a file."""
    if len(arguments) != 1:
        raise InputError(f"draw: expected one genotype, a published name or the path of a textproto; got {len(arguments)}")
    output = flags.new_output(suffixes=(".svg", ".png", ".pdf"))
    from nasnet_tf.genotype import load_genotype
    from nasnet_tf.viz.diagram import draw_genotype, save_figure

    save_figure(draw_genotype(load_genotype(arguments[0])), output)
    print(f"diagram: {output}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_required("output", "The file to write: .svg, .png or .pdf.")


if __name__ == "__main__":
    command.run(main, define_flags, "A genotype: a published one such as nasnet_a, or a textproto.")
