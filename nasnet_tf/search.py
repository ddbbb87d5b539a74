"""Searches for cells: python -m nasnet_tf.search --gin_file=cifar10_search.gin --workdir=runs/search.

Repeating the command continues a search that was stopped or killed.
"""

import pathlib

from absl import flags

from nasnet_tf import claims, cli, everyday
from nasnet_tf.errors import InputError


def main(arguments: list[str]) -> None:
    """Runs the search of a recipe."""
    if cli.FLAGS.retrain_top is not None:
        cli.FLAGS.gin_param.append(f"search.retrain_top = {cli.FLAGS.retrain_top}")
    workdir = pathlib.Path(cli.FLAGS.workdir)
    claims.check_kind(workdir, "search")
    config_text = cli.configuration()
    import tensorflow as tf

    from nasnet_tf import configurables
    from nasnet_tf.nas import retraining
    from nasnet_tf.nas.journal import read_spent
    from nasnet_tf.nas.limits import Rates
    from nasnet_tf.nas.pareto import accuracy_of
    from nasnet_tf.nas.retraining import WINNER_NAME
    from nasnet_tf.nas.search import BEST_NAME
    from nasnet_tf.nas.trials import leaderboard

    tf.config.set_visible_devices([], "GPU")  # they are the children's; TensorFlow would take their memory for a controller on the CPU
    scope = f"{configurables.RETRAIN_SCOPE}/"
    lasting = claims.lasting(cli.bindings(config_text))
    identity = {"search": {name: value for name, value in lasting.items() if not name.startswith(scope)}, "retrain": lasting}
    search = configurables.bound_search(config_text, identity)
    if cli.FLAGS.dry_run:
        print(search.plan(workdir))
        return
    trials, retrained = search(workdir)
    cli.write_operative_config(workdir)
    spent = Rates.load(workdir).estimate(read_spent(workdir) + sum(trial.seconds for trial in trials))
    counts = f"{len(trials)} trials, {sum(trial.status == 'finished' for trial in trials)} rewarded"
    print(", ".join([counts, *(f"{name} {value:.4g}" for name, value in spent.items())]))
    best = next(iter(leaderboard(trials)), None)
    if best is None:
        reasons = [trial.reason for trial in trials if trial.reason]
        raise InputError(f"{workdir}: none of {len(trials)} trials was rewarded; the last reason: {reasons[-1] if reasons else 'none'}")
    rewarded = f"reward {best.reward:.4f}, " if "accuracy" in best.metrics else ""
    print(f"best: trial {best.number}, {rewarded}validation accuracy {accuracy_of(best):.4f}, {workdir / BEST_NAME}")
    if retrained:
        winner, test = retrained
        folder = retraining.folder_of(workdir, identity["retrain"])
        accuracies = f"validation accuracy {winner.reward:.4f}, test accuracy {test['accuracy']:.4f} on {test['examples']} examples"
        print(f"winner after retraining: {accuracies}, {folder / WINNER_NAME}")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_gin_flags()
    everyday.define_flags()
    cli.define_workdir_flag("Keeps the journal of the search and its best cells.")
    flags.DEFINE_boolean("dry_run", False, "Build and count a child, read one batch, say what would happen, and write nothing.")
    flags.DEFINE_integer(
        "retrain_top", None, "How many of the best cells to retrain; before the binding search.retrain_top.", lower_bound=0
    )


if __name__ == "__main__":
    cli.run(main, define_flags)
