"""Ways to search at equal cost: every method gets the same core-hours, every winner the same longer training, each is tested once.

  python tools/compare_searches.py --workdir=runs/comparison --core_hours=0.75 --seeds=3

Methods are those of METHODS, a strategy and what scores architectures; what they train before any child, such as shared weights, counts as
theirs. Children have one core each; their time on the clock is what is counted, so that nothing else should run beside. The best --retrain
architectures of every search are trained alike with more examples and epochs than a child has, the one that validates best is the winner,
and it alone is tested, once. NASNet-A of the same size is trained alike, with --seeds seeds. All are searches with journals: killed, the
command goes on when it is repeated; --max_minutes ends a part of the work. summary.json, table.md and curves.svg are made of the journals.
"""

import argparse
import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, load_genotype, parse_genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess, LocalPool
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies import given
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.prescreened import Prescreened
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import NAME, read_spent, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures, leaderboard
from nasnet_tf.viz.axes import legend, new_figure
from nasnet_tf.viz.diagram import save_figure
from nasnet_tf.viz.report import statistics

SPACE = SearchSpace()
PUBLISHED = "nasnet_a"
MANY = 10_000  # trials: the hours end a search
_BEST = 5  # of a search, whose mean is shown: less noise than the one best has


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to search: a strategy by its seed, and what scores an architecture, one of SCORERS."""

    strategy: Callable
    scorer: str = "children"


def ppo(seed: int) -> PPOSearch:
    """With numbers for some hundred trials, found by simulations (BENCHMARKS.md)."""
    return PPOSearch(SPACE, seed, minibatch=10, learning_rate=0.01, epochs=3)


def evolution(seed: int) -> RegularizedEvolution:
    """With a population for some hundred trials."""
    return RegularizedEvolution(SPACE, seed, population=20, tournament=5)


def screened(seed: int) -> Prescreened:
    """Evolution's proposals, of which a surrogate chooses."""
    return Prescreened(SPACE, lambda space: evolution(seed), seed)


def random_search(seed: int) -> RandomSearch:
    """What all others are to be measured by."""
    return RandomSearch(SPACE, seed)


# Children that are built and traced each for itself, children on one traced network, or weights that all share.
SCORERS = ("children", "one network", "shared weights")
STRATEGIES = {"random": random_search, "ppo": ppo, "evolution": evolution, "screened evolution": screened}
METHODS = {
    name if scorer == "children" else f"{scorer}, {name}": Method(strategy, scorer)
    for scorer in SCORERS
    for name, strategy in STRATEGIES.items()
}


DEFAULT = (*STRATEGIES, "one network, random", "one network, screened evolution", "shared weights, evolution")


class Child:
    """Trains an architecture for a search, or longer for the end, and then keeps it in a folder; or whatever it is told, NASNet-A."""

    def __init__(self, args: argparse.Namespace, is_long: bool, seed: int, folder: pathlib.Path | None = None, is_published: bool = False):
        self._args, self._is_long, self._seed, self._folder, self._is_published = args, is_long, seed, folder, is_published

    def __call__(self, text: str, request: Request = TO_THE_END) -> dict:
        from nasnet_tf.nas.children.evaluator import ChildTraining
        from nasnet_tf.training.optimizers import Momentum

        network, data, config, rate = settings(self._args, self._is_long, self._seed)
        genotype = parse_genotype(text)
        folder = self._folder and retraining.trained_folder(self._folder, genotype)
        if self._is_published:  # with the outputs that were released, which the space does not have
            genotype = load_genotype(PUBLISHED)
        return ChildTraining(network, data, Momentum, rate, config)(genotype, Request(folder=folder))


def settings(args: argparse.Namespace, is_long: bool, seed: int, epochs: float | None = None):
    """(network, data, training, learning_rate) of a child or of the training at the end."""
    filters, examples, own = (
        (args.long_filters, args.long_examples, args.long_epochs) if is_long else (args.filters, args.examples, args.epochs)
    )
    return small_training(args, filters, examples, own if epochs is None else epochs, seed)


def small_training(args: argparse.Namespace, filters: int, examples: int, epochs: float, seed: int):
    """(network, data, training, learning_rate), evaluated at its end alone."""
    from nasnet_tf.data import CifarPreprocessing, ImageData
    from nasnet_tf.models.network import NetworkConfig
    from nasnet_tf.training.config import TrainingConfig
    from nasnet_tf.training.schedules import cosine_decay

    network = NetworkConfig(1, "cifar", 3.0, filters=filters, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    train = f"train[:{examples + args.validation_examples}]"
    preprocessing = CifarPreprocessing(args.image_size, upsample=1.0, flip=args.source != "digits")
    data = ImageData(args.source, preprocessing, args.data_dir, train, validation_examples=args.validation_examples)
    config = TrainingConfig(epochs, args.batch_size, weight_decay=5e-4, gradient_clip_norm=5.0, evaluate_every_epochs=epochs, seed=seed)
    return network, data, config, cosine_decay(args.initial_rate)


def measured(folder: pathlib.Path) -> dict:
    """The test of a training; called in a child."""
    from nasnet_tf.recipes.children import measure_on_test

    return measure_on_test(folder)


def identity(args: argparse.Namespace, **more) -> Identity:
    """What a journal must have been begun with."""
    unchanging = {name: str(value) for name, value in sorted(vars(args).items()) if name not in _CHANGEABLE}
    return Identity({**unchanging, **{name: str(value) for name, value in more.items()}})


_CHANGEABLE = ("workdir", "core_hours", "seeds", "methods", "data_dir", "workers", "max_minutes", "retrain", "deadline_seconds")


class Clock:
    """How long the command may still work."""

    def __init__(self, minutes: float):
        self._until = time.monotonic() + 60 * minutes

    def max_child_hours(self, folder: pathlib.Path, hours: float | None = None, workers: int = 1) -> float:
        """Up to so many hours of all children of a search, and up to the end of this command's time."""
        trials = read_trials(folder) if (folder / NAME).is_file() else []
        left = sum(trial.seconds for trial in trials) / 3600 + max(1e-6, (self._until - time.monotonic()) / 3600 * workers)
        return left if hours is None else min(left, hours)

    @property
    def is_over(self) -> bool:
        """Nothing more is to be begun."""
        return time.monotonic() > self._until


def folder_of(name: str, seed: int, args: argparse.Namespace) -> pathlib.Path:
    """Of a method's search with a seed."""
    return args.workdir / name.replace(", ", "-").replace(" ", "_") / str(seed)


def play(name: str, seed: int, args: argparse.Namespace, clock: Clock) -> bool:
    """Goes on with a search; returns whether it has spent its hours."""
    folder, method = folder_of(name, seed, args), METHODS[name]
    if is_over(folder, args.core_hours):
        return True
    evaluator, engine, workers = None, InProcess, 1
    if method.scorer == "shared weights":
        from nasnet_tf.nas.children.shared_weights import SharedWeights

        settings_of_all = settings(args, False, seed, args.shared_epochs)
        evaluator = evaluate = SharedWeights(SPACE, *settings_of_all, score_batches=args.score_batches)
    elif method.scorer == "one network":
        from nasnet_tf.nas.children.space_training import SpaceChildren

        evaluate = SpaceChildren(SPACE, *settings(args, False, seed))
    else:
        evaluate, workers = Child(args, is_long=False, seed=seed), args.workers
        engine = functools.partial(LocalPool, workers, args.deadline_seconds)
    hours = clock.max_child_hours(folder, args.core_hours, workers)
    config = SearchConfig(SPACE, lambda space: method.strategy(seed), engine, MANY, evaluator=evaluator, max_child_hours=hours)
    search(folder, config, evaluate, identity(args, method=name, seed=seed))
    return is_over(folder, args.core_hours)


def hours_of(folder: pathlib.Path) -> float:
    """Of all that was spent in a search."""
    if not (folder / NAME).is_file():
        return 0.0
    return (read_spent(folder) + sum(trial.seconds for trial in read_trials(folder))) / 3600


def is_over(folder: pathlib.Path, core_hours: float) -> bool:
    """Whether a search has spent what it had."""
    return hours_of(folder) >= core_hours


def finish(folder: pathlib.Path, chosen: list[tuple[int, ...]] | None, args: argparse.Namespace, seed: int, clock: Clock) -> dict | None:
    """Trains architectures longer, and tests the one that validates best; None where time was up before.

    Args:
      folder: of a search, or of its own; gets a folder `long`.
      chosen: their decisions; None for NASNet-A.
    """
    is_published, chosen = chosen is None, chosen or [SPACE.nearest(load_genotype(PUBLISHED))]
    folder /= "long"
    engine = functools.partial(LocalPool, args.workers, args.deadline_seconds * 20)
    evaluate = Child(args, True, seed, folder, is_published)
    hours = clock.max_child_hours(folder, workers=args.workers)
    config = SearchConfig(
        SPACE, lambda space: given.GivenOrder(chosen), engine, len(chosen), max_child_hours=hours, retrain_top=len(chosen)
    )
    trials = search(folder, config, evaluate, identity(args, seed=seed))
    if len(trials) < len(chosen) or any(trial.status == "running" for trial in trials):
        return None
    winner, test = retraining.retrain_top(folder, config, trials, evaluate, measured, identity(args, seed=seed))
    return {"validation": winner.reward, "retrained": float(np.mean([trial.reward for trial in leaderboard(trials)])), **test}


def curve_of(trials: list[Trial], spent_before: float) -> list[tuple[float, float]]:
    """(child-hours, the mean of the best 5 rewards so far) after each training that changed it."""
    hours, rewards, points = spent_before, [], []
    for trial in sorted((trial for trial in trials if trial.finished_time), key=lambda trial: trial.finished_time):
        hours += trial.seconds / 3600
        if trial.status == "finished":
            rewards.append(trial.reward)
            best = statistics.top_mean(rewards, _BEST)
            if len(rewards) >= _BEST and (not points or best > points[-1][1]):
                points.append((hours, best))
    return points


def row_of(name: str, seed: int, folder: pathlib.Path, test: dict) -> dict:
    """What a search came to."""
    trials = read_trials(folder) if (folder / NAME).is_file() else []
    rewards = [trial.reward for trial in architectures(trials)]
    return {
        "method": name,
        "seed": seed,
        "child_hours": hours_of(folder),
        "architectures": len(rewards),
        "best_5": statistics.top_mean(rewards, _BEST),
        "retrained": test["retrained"],
        "validation": test["validation"],
        "test": test["accuracy"],
        "curve": curve_of(trials, read_spent(folder) / 3600 if trials else 0.0),
    }


def table(rows: list[dict]) -> str:
    """Markdown: mean and standard deviation of each method over its seeds; of several architectures of a search, their mean."""
    names = ["method", "seeds", "child-hours", "architectures", "best 5 in the search", "retrained, validation", "winner's", "winner, test"]
    lines = [names, ["---"] * len(names)]
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        counts = ", ".join(str(row["architectures"]) for row in mine)
        hours, *accuracies = (
            spread([row[key] for row in mine if row[key] is not None], digits)
            for key, digits in (("child_hours", 2), ("best_5", 4), ("retrained", 4), ("validation", 4), ("test", 4))
        )
        lines.append([name, str(len(mine)), hours, counts, *accuracies])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: list[float], digits: int) -> str:
    """Mean ± standard deviation; a dash where there are none."""
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def verdict(rows: list[dict], name: str, other: str, key: str = "test") -> str:
    """By how many standard errors of the difference one method is ahead of another: its winners on the test split, or by another key."""
    ours, theirs = ([row[key] for row in rows if row["method"] == each and row[key] is not None] for each in (name, other))
    if min(len(ours), len(theirs)) < 2:
        return f"{name} and {other}, {key}: too few seeds to compare"
    difference = np.mean(ours) - np.mean(theirs)
    error = math.sqrt(np.var(ours, ddof=1) / len(ours) + np.var(theirs, ddof=1) / len(theirs))
    errors = f", {difference / error:+.1f} standard errors" if error else ""
    return f"{name} minus {other}, {key}: {difference:+.4f}{errors}"


def plot_curves(rows: list[dict]) -> Figure:
    """The mean of the best 5 rewards so far over child-hours, a line for each search."""
    figure, axes = new_figure("child-hours", "mean of the best 5 rewards so far", counts=False)
    searched = [row for row in rows if row["curve"]]
    for color, name in enumerate(dict.fromkeys(row["method"] for row in searched)):
        for number, row in enumerate(row for row in searched if row["method"] == name):
            hours, best = zip(*row["curve"], (row["child_hours"], row["curve"][-1][1]), strict=True)
            axes.plot(hours, best, drawstyle="steps-post", linewidth=1.2, color=f"C{color}", label=name if number == 0 else None)
    legend(axes)
    return figure


def compare(args: argparse.Namespace) -> list[dict]:
    """Goes on with everything, seed by seed; rows of what is done."""
    clock, rows = Clock(args.max_minutes), []
    for seed in range(args.seeds):
        folder = args.workdir / PUBLISHED / str(seed)
        if not clock.is_over and (test := finish(folder, None, args, seed, clock)):
            rows.append(row_of(PUBLISHED, seed, folder, test))
        for name in args.methods:
            folder = folder_of(name, seed, args)
            if clock.is_over or not play(name, seed, args, clock):
                continue
            best = [trial.decisions for trial in leaderboard(read_trials(folder))[: args.retrain]]
            if best and (test := finish(folder, best, args, seed, clock)):
                rows.append(row_of(name, seed, folder, test))
    return rows


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--core_hours", type=float, default=0.75, help="of each search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(DEFAULT), choices=list(METHODS))
    parser.add_argument("--retrain", type=int, default=3, help="architectures of each search that are trained longer")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline_seconds", type=float, default=900)
    parser.add_argument("--max_minutes", type=float, default=1e6)
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--data_dir")
    parser.add_argument("--image_size", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--initial_rate", type=float, default=0.05)
    parser.add_argument("--validation_examples", type=int, default=2000)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--examples", type=int, default=8000)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--shared_epochs", type=float, default=20)
    parser.add_argument("--score_batches", type=int, default=16)
    parser.add_argument("--long_filters", type=int, default=16)
    parser.add_argument("--long_examples", type=int, default=20_000)
    parser.add_argument("--long_epochs", type=float, default=2)
    args = parser.parse_args(argv)
    args.workdir = args.workdir.absolute()
    rows = compare(args)
    replace_file(args.workdir / "summary.json", json.dumps(rows))
    pairs = [(name, other) for name in args.methods for other in ("random", PUBLISHED) if name != other]
    lines = [table(rows), ""]
    lines += [
        verdict(rows, *pair, key) for pair in pairs for key in ("best_5", "retrained", "test") if PUBLISHED not in pair or key != "best_5"
    ]
    replace_file(args.workdir / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    save_figure(plot_curves(rows), args.workdir / "curves.svg")
    return rows


if __name__ == "__main__":
    main()
