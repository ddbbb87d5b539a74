"""Compares search strategies with each other and with NASNet-A at equal numbers of trainings.

  python tools/compare_searches.py --workdir=runs/comparison --seeds=8 --trainings=50

For each seed, every strategy runs a search of --trainings children. The --retrain best architectures of a search are then trained longer,
from other initial weights, and tested. The result of a search is the mean of their test accuracies, so the test split selects nothing.
NASNet-A is also trained longer and tested, once for each seed. --matched_filters does that again with another number of filters; choose it
so that NASNet-A has the multiply-adds of the found architectures. Methods are compared in pairs, seed by seed. Each search draws with a
seed of its own.

All trainings of one size share one traced network and run one after the other in this process. Their cost is their processor time. Every
training is in a journal, so repeat the command to resume. summary.json, table.md and curves.svg are made from the journals; --only_table
makes them without training.
"""

import argparse
import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr, ttest_rel
from small_trainings import SIZE_FORMAT, Size, Trainings, small_training

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype, load_genotype
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies import given
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.protocol import Strategy
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures, leaderboard
from nasnet_tf.viz.axes import legend, new_figure
from nasnet_tf.viz.diagram import save_figure
from nasnet_tf.viz.report import statistics

SPACE = SearchSpace()
PUBLISHED, MATCHED = "NASNet-A", "NASNet-A, wider"
LONG_SEED = 1000  # is added to the seed, so that longer trainings begin with weights that the search has not seen
BEST = 5  # number of best children whose mean reward is shown, because the best reward alone is noisier
STRATEGIES: dict[str, Callable[[int], Strategy]] = {
    "random": lambda seed: RandomSearch(SPACE, seed),
    "model-guided": lambda seed: ModelGuided(SPACE, seed),
    "evolution": lambda seed: RegularizedEvolution(SPACE, seed, population=20, tournament=5),
}


def as_published(evaluate: Callable[..., dict], _, request: Request) -> dict:
    """Evaluates NASNet-A with its released cell outputs, which the space does not have, instead of the proposed architecture."""
    return evaluate(format_genotype(load_genotype("nasnet_a")), request)


def trials_of(folder: pathlib.Path) -> list[Trial]:
    """Returns the trials in the journal of a folder; empty if there is no journal."""
    return read_trials(folder) if (folder / NAME).is_file() else []


def is_complete(folder: pathlib.Path, count: int) -> bool:
    """Returns whether the journal of a folder has at least `count` trials and all have ended."""
    trials = trials_of(folder)
    return len(trials) >= count and all(trial.status != "running" for trial in trials)


def folder_of(method: str, seed: int, args: argparse.Namespace) -> pathlib.Path:
    """Returns the work folder of a method with a seed."""
    return args.workdir / method.replace(", ", "-").replace(" ", "_") / str(seed)


# Arguments that must not change when a journal is resumed: those of searches, and those of longer trainings.
_CHILD = ("source", "initial_rate", "validation_examples", "examples", "batch_size", "child")
_LONG = ("source", "initial_rate", "long_examples", "long_batch_size", "trainings", "retrain")


def seed_of(method: str, seed: int) -> int:
    """Returns the seed of a strategy in a search; no two searches of a comparison have the same one."""
    return seed * len(STRATEGIES) + list(STRATEGIES).index(method)


class Comparison:
    """The trainings of all methods.

    Args:
      args: arguments of the command.
    """

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._sizes = {"child": args.child, PUBLISHED: args.long}
        if args.matched_filters:
            self._sizes[MATCHED] = dataclasses.replace(args.long, filters=args.matched_filters)
        self._trainings = {"child": Trainings(SPACE, *small_training(args, args.child, args.examples))}
        for name in self.published:
            settings = small_training(args, self._sizes[name], args.long_examples, is_tested=True, batch_size=args.long_batch_size)
            self._trainings[name] = Trainings(SPACE, *settings)

    @property
    def published(self) -> list[str]:
        """The methods that are not searches: NASNet-A, with one or two numbers of filters."""
        return [name for name in self._sizes if name != "child"]

    def play(self, seed: int) -> None:
        """Runs all trainings of a seed that the journals do not have yet."""
        args = self._args
        for method in args.methods:
            folder = folder_of(method, seed, args)
            config = SearchConfig(SPACE, lambda _, method=method: STRATEGIES[method](seed_of(method, seed)), InProcess, args.trainings)
            identity = {name: str(getattr(args, name)) for name in _CHILD} | {"seed": str(seed)}
            search(folder, config, self._trainings["child"].with_seed(seed), Identity(identity))
            best = [trial.decisions for trial in leaderboard(read_trials(folder))[: args.retrain]]
            self._train_longer(folder / "long", best, PUBLISHED, seed)
        for name in self.published:
            self._train_longer(folder_of(name, seed, args) / "long", None, name, seed)

    def _train_longer(self, folder: pathlib.Path, chosen: Sequence[tuple[int, ...]] | None, size: str, seed: int) -> None:
        """Trains and tests the chosen architectures, or NASNet-A if `chosen` is None."""
        evaluate = self._trainings[size].with_seed(LONG_SEED + seed)
        if chosen is None:
            evaluate, chosen = functools.partial(as_published, evaluate), [SPACE.nearest(load_genotype("nasnet_a"))]
        config = SearchConfig(SPACE, lambda _: given.GivenOrder(chosen), InProcess, len(chosen))
        identity = {name: str(getattr(self._args, name)) for name in _LONG} | {"size": str(self._sizes[size]), "seed": str(seed)}
        search(folder, config, evaluate, Identity(identity))


def rows_of(args: argparse.Namespace) -> list[dict]:
    """Returns the result of each method with each seed for which its trainings are complete."""
    rows = []
    for seed in range(args.seeds):
        for method in (*args.methods, PUBLISHED, MATCHED):
            folder = folder_of(method, seed, args)
            trainings, retrained = (args.trainings, args.retrain) if method in args.methods else (0, 1)
            if is_complete(folder, trainings) and is_complete(folder / "long", retrained):
                rows.append({"method": method, "seed": seed, **row_of(trials_of(folder), trials_of(folder / "long"))})
    return rows


def row_of(trials: Sequence[Trial], long: Sequence[Trial]) -> dict:
    """Returns the result of a search and of the longer trainings of its best architectures."""
    own = [trial for trial in trials if trial.is_own]
    long = [trial for trial in long if trial.status == "finished"]
    rewarded = {trial.hash: trial.reward for trial in architectures(trials)}
    rewards = list(rewarded.values())
    return {
        "trainings": len(own),
        "core_seconds": sum(trial.metrics.get("cpu_seconds", trial.seconds) for trial in own),
        "best_5": statistics.top_mean(rewards, BEST),
        "test": float(np.mean([trial.reward for trial in long])),
        "retrained": [[rewarded[trial.hash], trial.reward] for trial in long if trial.hash in rewarded],
        "parameters": float(np.mean([trial.metrics["parameters"] for trial in long])),
        "mult_adds": float(np.mean([trial.metrics["mult_adds"] for trial in long])),
        "curve": [statistics.top_mean(rewards[:count], BEST) for count in range(BEST, len(rewards) + 1)],
    }


_COLUMNS = {  # key of a row: (header, unit, digits)
    "trainings": ("trainings", 1, 0),
    "core_seconds": ("core-seconds", 1, 0),
    "best_5": ("best 5 children, %", 100, 2),
    "test": ("test of the retrained, %", 100, 2),
    "parameters": ("their parameters, thousands", 1e-3, 0),
    "mult_adds": ("their multiply-adds, millions", 1e-6, 2),
}


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; "" if it has no lines."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines)) if lines else ""


def table(rows: Sequence[dict]) -> str:
    """Returns a Markdown table of the mean and standard error of each method over its seeds."""
    lines = []
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        cells = [mean_and_error([unit * row[key] for row in mine if row[key]], digits) for key, (_, unit, digits) in _COLUMNS.items()]
        lines.append([name, str(len(mine)), *cells])
    return markdown(["method", "seeds", *(header for header, _, _ in _COLUMNS.values())], lines)


def mean_and_error(values: Sequence[float], digits: int) -> str:
    """Returns mean ± standard error as text: "-" if there are no values, and no error if all values are equal."""
    if not values:
        return "-"
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(set(values)) > 1 else 0
    return f"{np.mean(values):.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")


def verdicts(rows: Sequence[dict], pairs: Sequence[tuple[str, str]]) -> str:
    """Returns a Markdown table of the differences of two methods by seed, in points, with the p-value of a two-sided paired t-test."""
    lines = []
    for (ours, theirs), (key, name) in ((pair, key) for pair in pairs for key in (("best_5", "best 5 children"), ("test", "test"))):
        values = [{row["seed"]: row[key] for row in rows if row["method"] == each and row[key]} for each in (ours, theirs)]
        seeds = sorted(values[0].keys() & values[1].keys())
        if len(seeds) > 1:
            first, second = (100 * np.array([each[seed] for seed in seeds]) for each in values)
            error = np.std(first - second, ddof=1) / math.sqrt(len(seeds))
            numbers = f"{np.mean(first - second):+.2f}", f"{error:.2f}", f"{ttest_rel(first, second).pvalue:.2g}"
            lines.append([f"{ours} minus {theirs}", name, str(len(seeds)), *numbers])
    return markdown(["difference", "of", "seeds", "points", "standard error", "p"], lines)


def correlations(rows: Sequence[dict]) -> str:
    """Returns a Markdown table of Spearman's correlation between the child's reward and the test accuracy of the retrained architectures.

    If one method is better in both, the correlation over all methods is larger than those within the methods.
    """
    names = dict.fromkeys(row["method"] for row in rows)
    found = {name: [pair for row in rows if row["method"] == name for pair in row["retrained"]] for name in names}
    found["all"] = [pair for row in rows for pair in row["retrained"]]
    lines = [[name, str(len(pairs)), f"{spearmanr(pairs).statistic:.2f}"] for name, pairs in found.items() if len(pairs) > 2]
    return markdown(["retrained architectures of", "architectures", "Spearman, child's reward and test"], lines)


def plot_curves(rows: Sequence[dict]) -> Figure:
    """Plots the mean of the best 5 rewards so far over trainings: a thin line for each search, a thick one for the mean over seeds."""
    figure, axes = new_figure("trainings", "mean of the best 5 rewards so far", counts=True)
    searched = [row for row in rows if row["curve"]]
    for color, name in enumerate(dict.fromkeys(row["method"] for row in searched)):
        curves = [row["curve"] for row in searched if row["method"] == name]
        shortest = min(map(len, curves))
        trainings = range(BEST, BEST + shortest)
        for curve in curves:
            axes.plot(trainings, curve[:shortest], linewidth=0.5, alpha=0.5, color=f"C{color}")
        axes.plot(trainings, np.mean([curve[:shortest] for curve in curves], axis=0), linewidth=2, color=f"C{color}", label=name)
    legend(axes)
    return figure


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=["random", "model-guided"], choices=list(STRATEGIES))
    parser.add_argument("--trainings", type=int, default=50, help="number of trainings of each search")
    parser.add_argument("--retrain", type=int, default=5, help="architectures of each search that are trained longer")
    parser.add_argument("--matched_filters", type=int, help="filters with which NASNet-A matches the found architectures' multiply-adds")
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--data_dir")
    parser.add_argument("--validation_examples", type=int, default=1000)
    parser.add_argument("--initial_rate", type=float, default=0.05)
    parser.add_argument("--child", type=Size.parse, default="1x12x8", metavar=SIZE_FORMAT)
    parser.add_argument("--examples", type=int, default=2560, help="number of training images of a child")
    parser.add_argument("--batch_size", type=int, default=32, help="batch size of a child")
    parser.add_argument("--long", type=Size.parse, default="1x12x16", metavar=SIZE_FORMAT)
    parser.add_argument("--long_examples", type=int, default=10_000)
    parser.add_argument("--long_batch_size", type=int, default=64)
    parser.add_argument("--only_table", action="store_true")
    args = parser.parse_args(argv)
    args.workdir = args.workdir.absolute()
    if not args.only_table:
        comparison = Comparison(args)
        for seed in range(args.seeds):
            comparison.play(seed)
    rows = rows_of(args)
    if not rows:
        raise InputError(f"{args.workdir}: expected journals of complete searches, found none")
    pairs = [(ours, theirs) for ours in reversed(args.methods) for theirs in ("random", PUBLISHED, MATCHED) if ours != theirs]
    text = "\n\n".join(filter(None, (table(rows), verdicts(rows, pairs), correlations(rows)))) + "\n"
    replace_file(args.workdir / "summary.json", json.dumps(rows))
    replace_file(args.workdir / "table.md", text)
    print(text, end="")
    save_figure(plot_curves(rows), args.workdir / "curves.svg")
    return rows


if __name__ == "__main__":
    main()
