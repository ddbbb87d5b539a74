"""Searches for cells.

  # Searches on handwritten digits, which ship with the package.
  nasnet search --gin_file=quickstart_search.gin --workdir=runs/search
  # Searches on your own pictures, which lie in photos/train/CLASS/.
  nasnet search --gin_file=cifar10_search_small.gin --workdir=runs/cells \\
    --data=folder:photos

If the search is stopped or killed, run the same command again to resume it.

Guide: docs/search.md
"""

import pathlib

from nasnet_tf.base import work_folders
from nasnet_tf.cli import command, flags, work
from nasnet_tf.recipes import folders


def main(arguments: list[str]) -> None:
    """Runs the search of a recipe and prints the best architecture and the winner of the retraining."""
    if flags.FLAGS.retrain_top is not None:
        flags.FLAGS.gin_param.append(f"search.retrain_top = {flags.FLAGS.retrain_top}")
    workdir = pathlib.Path(flags.FLAGS.workdir)
    work_folders.check_kind(workdir, "search")
    config_text = work.configuration()
    import tensorflow as tf

    from nasnet_tf.nas.limits import Rates
    from nasnet_tf.nas.retraining import WINNER_NAME
    from nasnet_tf.nas.search import BEST_NAME
    from nasnet_tf.nas.trials.journal import read_spent
    from nasnet_tf.nas.trials.pareto import accuracy_of
    from nasnet_tf.recipes import table
    from nasnet_tf.recipes.search import best_of, search_job

    # GPUs are for the children. TensorFlow would allocate their memory here, although the controller runs on the CPU.
    tf.config.set_visible_devices([], "GPU")
    search = search_job(table.bound("search")(), config_text)
    if flags.FLAGS.dry_run:
        print(search.plan(workdir))
        return
    trials, retrained = search(workdir)
    folders.write_operative_config(workdir)
    spent = Rates.load(workdir).estimate(read_spent(workdir) + sum(trial.seconds for trial in trials))
    counts = f"{len(trials)} trials, {sum(trial.status == 'finished' for trial in trials)} rewarded"
    print(", ".join([counts, *(f"{name} {value:.4g}" for name, value in spent.items())]))
    best = best_of(workdir, trials)
    rewarded = f"reward {best.reward:.4f}, " if "accuracy" in best.metrics else ""
    measure = best.metrics.get("measure", "accuracy")
    called = measure.replace("_", " ")
    print(f"best: trial {best.number}, {rewarded}validation {called} {accuracy_of(best):.4f}, {workdir / BEST_NAME}")
    if retrained:
        winner, test, folder = retrained
        tested = (
            f"test {called} {test[measure]:.4f} on {test['examples']} examples"
            if test
            else "not tested, because the data has no test split"
        )
        print(f"winner after retraining: validation {called} {winner.reward:.4f}, {tested}, {folder / WINNER_NAME}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_gin_flags()
    flags.define_flags()
    flags.define_workdir_flag("The folder for the journal and the best cells.")
    text = "Print what the search would do, and write nothing. It builds a child, counts its costs and reads one batch."
    flags.DEFINE_boolean("dry_run", False, text)
    text = "The number of best architectures to retrain. It overrides the binding search.retrain_top."
    flags.DEFINE_integer("retrain_top", None, text, lower_bound=0)


if __name__ == "__main__":
    command.run(main, define_flags)
