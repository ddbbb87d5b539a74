"""Searches for cells: python -m nasnet_tf.search --gin_file=cifar10_search.gin --workdir=runs/search.

Repeating the command continues a search that was stopped or killed.
"""

import pathlib

from nasnet_tf import cli

# May change between two runs of one search: how long it goes on, and where its children run.
_NOT_IDENTITY = ("search.num_trials", "search.engine", "LocalPool.")


def main(arguments: list[str]) -> None:
    """Runs the search of a recipe."""
    config_text = cli.parse_gin()
    from nasnet_tf import configurables
    from nasnet_tf.nas.search import BEST_NAME

    workdir = pathlib.Path(cli.FLAGS.workdir)
    identity = {name: value for name, value in cli.bindings(config_text).items() if not name.startswith(_NOT_IDENTITY)}
    trials = configurables.run_search(workdir, config_text, identity)
    cli.write_operative_config(workdir)
    finished = [trial for trial in trials if trial.status == "finished"]
    print(f"{len(trials)} trials, {len(finished)} rewarded")
    if finished:
        best = max(finished, key=lambda trial: (trial.reward, -trial.number))
        print(f"best: trial {best.number}, validation accuracy {best.reward:.4f}, {workdir / BEST_NAME}")


if __name__ == "__main__":
    cli.define_gin_flags()
    cli.define_workdir_flag("Keeps the journal of the search and its best cells.")
    cli.run(main)
