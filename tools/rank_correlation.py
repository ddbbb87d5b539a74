"""Measures how well cheap scores rank architectures: rank correlation with longer trainings, and the cost of each score.

  python tools/rank_correlation.py --workdir=runs/correlation --trainings=60
  python tools/rank_correlation.py --workdir=runs/children --truth=runs/comparison --parts --children 1x12x8 2x12x8 1x16x8

Random architectures are trained for --epochs passes over --examples images of CIFAR-10. The scores are a shorter training, shared weights,
NASWOT, SynFlow, parameters and multiply-adds. --children adds trainings of other sizes as scores. With --truth, the architectures and their
longer trainings are read from the folders `long` of compare_searches.py.

Each training and each score is a trial in a search's journal, in the folders `real`, `few`, `shared`, `zero_cost` and one for each size.
Repeat the command to resume. --max_minutes limits the time of one run, and --only_table prints the table from the journals alone.
"""

import argparse
import functools
import pathlib
import time
from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau, norm, spearmanr
from small_trainings import SIZE_FORMAT, Size, Trainings, small_training

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.given import GivenOrder
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures

SPACE = SearchSpace()
PARTS = ("real", "few", "shared", "zero_cost")
BOOTSTRAPS = 2000
NIGHT_CORE_SECONDS = 2 * 8 * 3600  # two cores for eight hours
CHANGEABLE = ("workdir", "parts", "children", "truth", "trainings", "data_dir", "max_minutes", "only_table")


def configuration(args: argparse.Namespace, epochs: float):
    """Returns (network, data, training, learning_rate) of a training of `epochs` epochs."""
    return small_training(args, Size(epochs, args.image_size, args.filters), args.examples)


def evaluator(part: str, args: argparse.Namespace):
    """Returns the function that scores the architectures of a part. For shared weights, this call trains them."""
    from nasnet_tf.nas.children.shared_weights import SharedWeights
    from nasnet_tf.nas.children.space_training import SpaceChildren
    from nasnet_tf.nas.children.zero_cost import ZeroCost

    if part in map(str, args.children):
        return Trainings(SPACE, *small_training(args, Size.parse(part), args.examples)).with_seed(args.seed)
    if part == "zero_cost":
        return ZeroCost(*configuration(args, 1)[:2])
    if part == "shared":
        shared = SharedWeights(SPACE, *configuration(args, args.shared_epochs), score_batches=args.score_batches)
        seconds = shared.train(args.workdir / part)
        print(f"shared weights: trained in {seconds:.0f} seconds", flush=True)
        return shared
    return SpaceChildren(SPACE, *configuration(args, args.epochs if part == "real" else args.few_epochs))


def play(part: str, args: argparse.Namespace, until: float) -> bool:
    """Trains or scores the remaining architectures of a part; returns whether the part is complete."""
    from nasnet_tf.nas.engines.local import InProcess

    folder = args.workdir / part
    known = [trial.number for trial in read_trials(folder) if trial.status != "running"] if (folder / NAME).is_file() else []
    if len(known) >= args.trainings:
        return True
    evaluate = evaluator(part, args)
    spent = sum(trial.seconds for trial in read_trials(folder)) if known else 0.0
    left = max(1.0, until - time.monotonic())
    identity = {name: str(value) for name, value in sorted(vars(args).items()) if name not in CHANGEABLE} | {"part": part}
    config = SearchConfig(SPACE, strategy_of(args), InProcess, args.trainings, max_child_hours=(spent + left) / 3600)
    trials = search(folder, config, evaluate, Identity(identity))
    return len(trials) >= args.trainings and all(trial.status != "running" for trial in trials)


def strategy_of(args: argparse.Namespace):
    """Returns the function space -> strategy, which proposes random architectures, or those of --truth in the order of their hashes."""
    if args.truth is None:
        return functools.partial(RandomSearch, seed=args.seed)
    known = sorted(longer_trainings(args.truth), key=lambda trial: trial.hash)
    if len(known) < args.trainings:
        raise InputError(f"--trainings: expected at most the {len(known)} architectures of {args.truth}, got {args.trainings}")
    return lambda space: GivenOrder([trial.decisions for trial in known])


def longer_trainings(truth: pathlib.Path) -> list[Trial]:
    """Returns the architectures that searches below a folder have retrained. NASNet-A is left out, because it comes from no search."""
    folders = sorted(path.parent for path in truth.glob(f"*/*/long/{NAME}") if (path.parents[1] / NAME).is_file())
    return architectures(trial for folder in folders for trial in read_trials(folder))


def scores(workdir: pathlib.Path, children: Sequence[Size] = ()) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns {score: {architecture: (value, seconds)}} of all parts that exist."""
    found = {}

    def take(name: str, part: str, value, seconds=lambda trial: trial.seconds):
        path = workdir / part
        trials = read_trials(path) if (path / NAME).is_file() else []
        rewarded = [trial for trial in trials if trial.status == "finished"]
        if rewarded:
            found[name] = {trial.hash: (value(trial), seconds(trial)) for trial in rewarded}

    take("real", "real", reward_of)
    take("few epochs", "few", reward_of)
    for size in map(str, children):
        take(size, size, reward_of, lambda trial: trial.metrics["cpu_seconds"])
    take("shared weights", "shared", reward_of)
    for proxy in ("naswot", "synflow"):
        take(proxy, "zero_cost", lambda trial, name=proxy: trial.metrics[name], functools.partial(seconds_of_proxy, proxy))
    take("parameters", "zero_cost", lambda trial: trial.metrics["parameters"], lambda trial: trial.metrics["build_seconds"])
    take("mult_adds", "zero_cost", lambda trial: trial.metrics["mult_adds"], lambda trial: trial.metrics["build_seconds"])
    return found


def reward_of(trial: Trial) -> float:
    """Returns the trial's reward."""
    return trial.reward


def seconds_of_proxy(name: str, trial: Trial) -> float:
    """Returns the seconds of a proxy, including those for building the network."""
    return trial.metrics["build_seconds"] + trial.metrics[f"{name}_seconds"]


def correlations(real: dict, score: dict, seed: int = 0) -> tuple[int, float, float, float, float, float]:
    """Returns (architectures, Spearman's rho, both ends of its 95% bootstrap interval, Kendall's tau, median seconds of the score)."""
    both = sorted(real.keys() & score.keys())
    truth, guess = (np.array([values[each][0] for each in both]) for values in (real, score))
    rho, tau = spearmanr(truth, guess).statistic, kendalltau(truth, guess).statistic
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(BOOTSTRAPS):
        chosen = rng.integers(len(both), size=len(both))
        if len(set(truth[chosen])) > 1 and len(set(guess[chosen])) > 1:
            samples.append(spearmanr(truth[chosen], guess[chosen]).statistic)
    low, high = np.percentile(samples, [2.5, 97.5]) if samples else (np.nan, np.nan)
    return len(both), rho, low, high, tau, float(np.median([score[each][1] for each in both]))


def gain_of_a_night(rho: float, seconds: float) -> float:
    """Returns how far the mean accuracy of the best five of a night is expected to exceed that of all architectures.

    The unit is the standard deviation of the architectures' accuracies. The best five have the highest of n normally distributed scores.

    Args:
      rho: correlation between score and accuracy.
      seconds: seconds of one score; n is the number of scores that a night has time for.
    """
    ranks = np.arange(1, 6)
    return float(rho * norm.isf((ranks - 0.375) / (NIGHT_CORE_SECONDS / seconds + 0.25)).mean())


def table(workdir: pathlib.Path, children: Sequence[Size] = (), truth: pathlib.Path | None = None) -> str:
    """Returns a Markdown table of all scores, or a sentence if there are fewer than 3 real trainings."""
    found = scores(workdir, children)
    real = found.pop("real", {})
    if truth is not None:
        real = {trial.hash: (trial.reward, trial.seconds) for trial in longer_trainings(truth)}
    if len(real) < 3:
        return f"{len(real)} real trainings: too few to correlate"
    accuracies = np.array([value for value, _ in real.values()])
    seconds = np.median([each for _, each in real.values()])
    spread = f"{accuracies.mean():.4f} on average, standard deviation {accuracies.std(ddof=1):.4f}"
    names = ["score", "architectures", "Spearman", "95%", "Kendall", "seconds each, median", "gain of a night"]
    lines = [f"{len(real)} real trainings, {spread}, median {seconds:.0f} s", ""]
    lines += [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names))]
    sizes = [str(size) for size in children if str(size) in found]
    common = set(real).intersection(*(found[size] for size in sizes))  # sizes are compared on the same architectures
    found |= {size: {each: found[size][each] for each in common} for size in sizes}
    for name, score in found.items():
        if len(real.keys() & score.keys()) >= 3:
            count, rho, low, high, tau, each = correlations(real, score)
            gain = gain_of_a_night(rho, each)
            lines.append(f"| {name} | {count} | {rho:.2f} | {low:.2f} to {high:.2f} | {tau:.2f} | {each:.2f} | {gain:.2f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--children", nargs="+", type=Size.parse, default=[], metavar=SIZE_FORMAT, help="sizes of trainings, as scores")
    parser.add_argument("--truth", type=pathlib.Path, help="work folder of compare_searches.py, or its extracted journals")
    parser.add_argument("--trainings", type=int, default=60, help="number of architectures")
    parser.add_argument("--seed", type=int, default=0, help="seed of the architectures")
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--data_dir")
    parser.add_argument("--image_size", type=int, default=16)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--examples", type=int, default=10_000, help="number of training images")
    parser.add_argument("--validation_examples", type=int, default=5_000)
    parser.add_argument("--initial_rate", type=float, default=0.05)
    parser.add_argument("--epochs", type=float, default=3, help="epochs of a real training")
    parser.add_argument("--few_epochs", type=float, default=1)
    parser.add_argument("--shared_epochs", type=float, default=10)
    parser.add_argument("--score_batches", type=int)
    parser.add_argument("--max_minutes", type=float, default=1e6)
    parser.add_argument("--only_table", action="store_true")
    args = parser.parse_args(argv)
    until = time.monotonic() + 60 * args.max_minutes
    if not args.only_table:
        for part in (*args.parts, *map(str, args.children)):
            if not play(part, args, until) or time.monotonic() > until:
                print(f"{part}: not complete; repeat the command to resume")
                break
    print(table(args.workdir, args.children, args.truth))


if __name__ == "__main__":
    main()
