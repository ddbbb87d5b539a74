"""Tunes hyperparameters of a recipe with KerasTuner.

  # Tunes a training on handwritten digits, which ship with the package.
  nasnet tune --gin_file=quickstart_tune.gin --workdir=runs/tune
  # Tunes for longer: trains the best for 18 epochs instead of 6.
  nasnet tune --gin_file=quickstart_tune.gin --workdir=runs/longer \\
    --gin_param=HyperbandOracle.max_epochs=18

If the tuning is stopped or killed, run the same command again to resume it.

Guide: docs/train.md
"""

import pathlib

from nasnet_tf.base import identity
from nasnet_tf.cli import command, flags, work
from nasnet_tf.recipes import folders


def main(arguments: list[str]) -> None:
    """Tunes the hyperparameters that a recipe lists, and prints a table of the trials."""
    config_text = work.configuration()
    from nasnet_tf.recipes import table
    from nasnet_tf.recipes.bindables import Role
    from nasnet_tf.tuning.results import BEST_NAME, TABLE_NAME, best_trial, format_table

    table.bound("train")()  # reports mistakes in the configuration before the work folder is used
    of_tuning = ("tune.", *(f"{name}." for name, row in table.ROWS.items() if row.role is Role.ORACLE))
    bindings = {name: value for name, value in identity.bindings(config_text).items() if not name.startswith(of_tuning)}
    tune = table.bound("tune")(bindings)
    with folders.claimed(pathlib.Path(flags.FLAGS.workdir), config_text, "tuning") as workdir:
        trials = tune(workdir)
    print(f"\n{format_table(trials)}\ntable: {workdir / TABLE_NAME}")
    best = best_trial(trials)
    if best:
        print(f"best: trial {best.number}, validation accuracy {best.accuracy:.4f}, {workdir / BEST_NAME}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_gin_flags()
    flags.define_workdir_flag("The folder for the trials, the best recipe best.gin and the table results.md.")


if __name__ == "__main__":
    command.run(main, define_flags)
