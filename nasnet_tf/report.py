"""Writes a page about the searches and trainings below a folder: python -m nasnet_tf.report --workdir=runs/quickstart."""

import pathlib

from nasnet_tf import cli


def main(arguments: list[str]) -> None:
    """Writes report.html."""
    from nasnet_tf.viz.report import write_report

    print(f"report: {write_report(pathlib.Path(cli.FLAGS.workdir))}")


if __name__ == "__main__":
    cli.define_workdir_flag("Of a search, of a training, or a folder of such folders.")
    cli.run(main)
