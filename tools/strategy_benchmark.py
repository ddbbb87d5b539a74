"""Benchmarks search strategies on tables of trained architectures: hundreds of searches in minutes.

    python tools/strategy_benchmark.py --workdir=runs/benchmark --nasbench201 nasbench201_cifar10.csv --lanas lanas_cifar10.csv --seeds 200

Nothing is trained. A strategy proposes an architecture and gets the reward of a short training from the table. The strategy is judged by
the true accuracy of its architectures: the test accuracy of a long training for NAS-Bench-201, the value without noise for surrogates. With
--delays 10, a reward arrives after ten more proposals, as with ten parallel workers. An architecture that is proposed again gets its
earlier reward and does not count as a training. "front" is the area below the front of accuracies and costs, as a fraction of the largest
possible area.

Each search, called a game, is a line in games.jsonl, so repeat the command to resume. The results are written to summary.json, table.md and
curves.svg. docs/search.md says where to get the original files of the tables.
"""

import argparse
import collections
import concurrent.futures
import ctypes
import heapq
import json
import math
import multiprocessing
import pathlib
import random
import signal
import time

import architecture_tables
import numpy as np
from benchmark_strategies import COST, STRATEGIES, known_strategy, strategy_of
from matplotlib import pyplot as plt
from matplotlib import ticker

from nasnet_tf.nas.strategies.protocol import Observation

CHECKPOINTS = (25, 50, 100, 200, 400, 1000, 2000, 5000, 10000, 20000)
TOP = 5
MAX_PROPOSALS_PER_TRAINING = 3  # ends a strategy that only repeats itself
_tables = {}  # cache of this process: {(kind, paths): table}


def table_of(kind: str, paths: tuple[str, ...]):
    """Returns the table of a kind, read from files and cached."""
    if (kind, paths) not in _tables:
        files = list(map(pathlib.Path, paths))
        makers = {"nasbench201": architecture_tables.NasBench201, "lanas": architecture_tables.lanas}
        _tables[kind, paths] = makers[kind](files[0]) if kind in makers else architecture_tables.journals(files)
    return _tables[kind, paths]


def play(kind: str, paths: tuple[str, ...], name: str, seed: int, trainings: int, delay: int) -> dict:
    """Runs one search and returns its row.

    The curves "best" and "top" have a value for each training: the truth of the architecture with the best reward, and the mean truth of
    the five best. "front" has a value for each of the CHECKPOINTS that was reached, for complete tables.

    Args:
      kind, paths: arguments of `table_of`.
      name: name of the strategy.
      seed: seed of the strategy and of the noise.
      trainings: number of different architectures that are rewarded.
      delay: number of later proposals that a reward waits for.
    """
    table, started = table_of(kind, paths), time.process_time()
    strategy = strategy_of(name)(table, seed)
    draws, rewards, top, curves = random.Random(f"{seed} noise"), {}, [], {"best": [], "top": [], "front": []}
    found: list[tuple[float, float]] = []  # (cost, truth)
    pending = collections.deque()
    proposed = 0
    while len(rewards) < trainings and proposed < trainings * MAX_PROPOSALS_PER_TRAINING:
        proposed += 1
        proposal = strategy.propose()
        identity = table.space.identity_of(proposal.decisions)
        if identity not in rewards:
            rewards[identity] = table.reward(tuple(proposal.decisions), draws)
            found.append((table.cost(proposal.decisions), table.truth(tuple(proposal.decisions))))
            if len(found) in CHECKPOINTS and table.best is not None:
                curves["front"].append(round(front_area(found) / front_area(table.all), 4))
            top = heapq.nlargest(TOP, [*top, (rewards[identity], -len(rewards), table.truth(tuple(proposal.decisions)))])
            curves["best"].append(round(top[0][2], 4))
            curves["top"].append(round(float(np.mean([truth for *_, truth in top])), 4))
        pending.append(Observation(proposal, rewards[identity], {COST: table.cost(proposal.decisions)}))
        if len(pending) > delay:
            strategy.observe(pending.popleft())
    seconds = time.process_time() - started
    return {
        "table": kind,
        "strategy": name,
        "seed": seed,
        "trainings": trainings,
        "delay": delay,
        "best_of_table": table.best,
        "proposals": proposed,
        "milliseconds": 1000 * seconds / proposed,
        "curves": curves,
    }


def front_area(found: list[tuple[float, float]]) -> float:
    """Returns the mean of the best accuracy above 85% that each cost affords, over the logarithm of the cost."""
    edges = np.linspace(0, math.log(_MAX_COST), 200)
    costs, truths = np.array(found).T
    order = np.argsort(costs)
    best = np.maximum.accumulate(np.maximum(truths[order] - _MIN_ACCURACY, 0.0))
    places = np.searchsorted(np.log(costs[order]), edges, side="right")
    return float(np.mean(np.where(places > 0, best[places - 1], 0.0)))


_MIN_ACCURACY, _MAX_COST = 85.0, 55.0


def identity(row: dict) -> tuple:
    """Returns the values that tell games apart."""
    return tuple(row[key] for key in ("table", "strategy", "seed", "trainings", "delay"))


def values_of(rows: list[dict], measure: str) -> np.ndarray:
    """Returns a curve for each game, float [games, trainings].

    The measure "regret" gives the regret of the best architecture; any other measure gives the mean truth of the best five.
    """
    if measure == "regret":
        curves = [np.subtract(row["best_of_table"], row["curves"]["best"]) for row in rows]
    else:
        curves = [row["curves"]["top"] for row in rows]
    # The curve of a strategy that repeats itself may end early; its last value continues.
    return np.array([[*curve, *[curve[-1]] * (row["trainings"] - len(curve))] for row, curve in zip(rows, curves, strict=True)])


def summaries(rows: list[dict]) -> list[dict]:
    """Returns a summary for each table, measure, delay and strategy.

    It holds the mean and standard error at the checkpoints, and the number of trainings after which the mean reaches the last value of
    random search.
    """
    groups = collections.defaultdict(list)
    for row in rows:
        for measure in ("regret", "best five") if row["best_of_table"] is not None else ("best five",):
            groups[row["table"], measure, row["delay"], row["strategy"], row["trainings"]].append(row)
    found = []
    for (table, measure, delay, name, trainings), games in groups.items():
        values = values_of(games, measure)
        points = [point for point in CHECKPOINTS if point <= trainings]
        at_points, mean = values[:, np.array(points) - 1], values.mean(axis=0)
        random_games = groups.get((table, measure, delay, "random", trainings))
        reached = None
        if random_games:
            goal = values_of(random_games, measure).mean(axis=0)[-1]
            is_there = mean <= goal if measure == "regret" else mean >= goal
            reached = int(np.argmax(is_there)) + 1 if is_there.any() else None
        fronts = [row["curves"]["front"] for row in games]
        shortest = min(map(len, fronts))
        found.append(
            {
                "table": table,
                "measure": measure,
                "delay": delay,
                "strategy": name,
                "games": len(values),
                "mean": dict(zip(points, at_points.mean(axis=0).tolist(), strict=True)),
                "error": dict(zip(points, (at_points.std(axis=0) / np.sqrt(max(len(values), 2) - 1)).tolist(), strict=True)),
                "front": np.mean([front[:shortest] for front in fronts], axis=0).round(4).tolist(),
                "trainings_to_reach_random": reached,
                "milliseconds": float(np.mean([row["milliseconds"] for row in games])),
                "curve": mean.round(4).tolist(),
            }
        )
    order = list(dict.fromkeys([*STRATEGIES, *sorted(each["strategy"] for each in found)]))
    return sorted(found, key=lambda each: (each["table"], each["measure"] != "regret", each["delay"], order.index(each["strategy"])))


def text_of(found: list[dict]) -> str:
    """Returns the summaries as a Markdown table."""
    points = [point for point in CHECKPOINTS if any(point in each["mean"] for each in found)]
    head = [
        "table",
        "measure",
        "delay",
        "strategy",
        *map(str, points),
        "reaches random's last",
        "front after 100",
        "ms a proposal",
        "seeds",
    ]
    lines = [head, ["---"] * len(head)]
    for each in found:
        cells = [f"{each['mean'][p]:.2f} ± {each['error'][p]:.2f}" if p in each["mean"] else "" for p in points]
        front = f"{each['front'][2]:.3f}" if len(each["front"]) > 2 else ""
        ends = [str(each["trainings_to_reach_random"] or "never"), front, f"{each['milliseconds']:.0f}", str(each["games"])]
        lines.append([each["table"], each["measure"], str(each["delay"]), each["strategy"], *cells, *ends])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def draw(found: list[dict], path: pathlib.Path) -> None:
    """Draws a panel for each table, measure and delay, with a line for each strategy and its standard errors at the checkpoints."""
    panels = list(dict.fromkeys((each["table"], each["measure"], each["delay"]) for each in found))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5 * columns, 3.6 * rows), layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        for each in found:
            if (each["table"], each["measure"], each["delay"]) == panel:
                label = f"{each['strategy'].replace('_', ' ')}, {each['games']} seeds"
                (line,) = axis.plot(range(_FIRST, len(each["curve"]) + 1), each["curve"][_FIRST - 1 :], label=label, linewidth=1.2)
                axis.errorbar(
                    list(each["mean"]), list(each["mean"].values()), list(each["error"].values()), fmt="none", color=line.get_color()
                )
        late = f"rewards arrive {panel[2]} late" if panel[2] else "one worker"
        measure = "regret, points" if panel[1] == "regret" else "accuracy of the best five, %"
        axis.set(title=f"{TITLES[panel[0]]}, {late}", xlabel="trainings", ylabel=measure, xscale="log")
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        axis.legend(fontsize=8)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    figure.savefig(path)
    plt.close(figure)


_FIRST = 10  # number of the first training in the curves
TITLES = {"nasbench201": "NAS-Bench-201", "lanas": "surrogate of LaNAS' cells", "journals": "surrogate of journals"}


def end_with_parent() -> None:
    """Lets this process end when its parent is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--nasbench201", help="CSV file of NAS-Bench-201")
    parser.add_argument("--lanas", help="CSV file of LaNAS' cells, for a surrogate")
    parser.add_argument(
        "--journals", nargs="+", help="journals of searches over the default space, or tar archives of them, for a surrogate"
    )
    parser.add_argument("--strategies", nargs="+", type=known_strategy, default=["random", "evolution", "local_search", "model_guided"])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--trainings", type=int, default=400)
    parser.add_argument("--delays", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel games")
    args = parser.parse_args(argv)
    args.workdir.mkdir(parents=True, exist_ok=True)
    path = args.workdir / "games.jsonl"
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # without a last line that a kill cut short
    path.write_text(whole)
    rows = list(map(json.loads, whole.splitlines()))
    done = set(map(identity, rows))
    sources = {"nasbench201": [args.nasbench201], "lanas": [args.lanas], "journals": args.journals or []}
    sources = {kind: tuple(filter(None, paths)) for kind, paths in sources.items() if any(paths)}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    games = [
        (kind, paths, name, seed, args.trainings, delay)
        for seed in seeds
        for kind, paths in sources.items()
        for name in args.strategies
        for delay in args.delays
        if (kind, name, seed, args.trainings, delay) not in done
    ]
    for kind, paths in sources.items():
        table_of(kind, paths)  # before the processes are forked, so that they share it
    with (
        concurrent.futures.ProcessPoolExecutor(args.jobs, multiprocessing.get_context("fork"), end_with_parent) as pool,
        open(path, "a") as file,
    ):
        for game in concurrent.futures.as_completed([pool.submit(play, *each) for each in games]):
            rows.append(game.result())
            print(json.dumps(rows[-1]), file=file, flush=True)
    found = summaries(rows)
    (args.workdir / "summary.json").write_text(json.dumps(found))
    (args.workdir / "table.md").write_text(text_of(found))
    draw(found, args.workdir / "curves.svg")
    print(text_of(found))
    return found


if __name__ == "__main__":
    main()
