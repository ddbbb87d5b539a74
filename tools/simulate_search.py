"""Simulates whole searches: strategies, ledger and journal are the real ones, and a formula replaces the trainings.

    python tools/simulate_search.py --workdir=runs/simulation
    python tools/simulate_search.py --workdir=runs/simulation2 --surrogate runs/search/journal.jsonl --trainings=5000 --seeds=5

A search has 20,000 trainings on 450 simulated workers by default, as in the paper. Durations are random, some children crash and some
machines are preempted. Strategies are compared at equal numbers of trainings. A proposal with a known architecture costs no training;
`evolution_again` trains it again, like the published evolution.

The script prints for each strategy and seed: the best accuracy and the means of the best 5 and 25, all without the noise of the rewards;
the time per trial around the 1,000th and at the end; the memory used. A table shows each strategy's mean and standard deviation over the
seeds. The results are written to summary.json and figure6.svg, which corresponds to figure 6 of the paper. Each search has a journal, so
repeat the command to resume.
"""

import argparse
import concurrent.futures
import functools
import hashlib
import heapq
import json
import math
import multiprocessing
import pathlib
import random
import resource

import numpy as np
from matplotlib import pyplot as plt

from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, parse_genotype
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import end_with_parent
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.prescreened import Prescreened, features
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures
from nasnet_tf.viz.diagram import save_figure

STRATEGIES = {
    "ppo": PPOSearch,
    "ppo_3_passes": functools.partial(PPOSearch, epochs=3),
    "random": RandomSearch,
    "evolution": RegularizedEvolution,
    "evolution_again": RegularizedEvolution,
    "small_evolution": functools.partial(RegularizedEvolution, population=20, tournament=5),  # for a few hundred trainings
    "screened_random": lambda space, seed: Prescreened(space, functools.partial(RandomSearch, seed=seed), seed),
    "screened_evolution": lambda space, seed: Prescreened(
        space, functools.partial(RegularizedEvolution, seed=seed, population=20, tournament=5), seed
    ),
}
TRAIN_AGAIN = {"evolution_again"}  # strategies whose repeated proposals are trained again
MAX_PROPOSALS_PER_TRAINING = 20  # ends a strategy that only repeats itself
TOPS = (1, 5, 25)
CRASH_RATE, PREEMPTION_RATE = 0.01, 0.02
MEAN_SECONDS, SPREAD = 3600.0, 0.4  # duration of a child: mean, and standard deviation of its logarithm
CURVE_POINTS = 200
LOST = "its machine was taken away"


class SimulatedWorkers:
    """An engine with a simulated clock: `poll` advances it to the end of the next child and runs the function of that child."""

    def __init__(self, num_workers: int, seed: int):
        self._num_workers, self._random = num_workers, random.Random(seed)
        self._clock, self._events = 0.0, []

    @property
    def free_slots(self) -> int:
        return self._num_workers - len(self._events)

    def submit(self, key: int, function, *args) -> None:
        seconds = MEAN_SECONDS * math.exp(self._random.gauss(-(SPREAD**2) / 2, SPREAD))
        fate, reason = self._random.random(), None
        if fate < CRASH_RATE + PREEMPTION_RATE:
            reason = "crashed" if fate < CRASH_RATE else LOST
            seconds *= self._random.random()
        heapq.heappush(self._events, (self._clock + seconds, key, seconds, reason, function, args))

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        self._clock, key, seconds, reason, function, args = heapq.heappop(self._events)
        if reason is not None:
            return [Outcome(key, seconds, reason=reason, lost=reason == LOST)]
        return [Outcome(key, seconds, value=function(*args))]

    def close(self) -> None:
        self._events.clear()


class SyntheticReward:
    """A formula for accuracies: the value of an operation depends on its cell, on its partner in the block and on its depth.

    All coefficients are drawn from the seed. Over random architectures, the accuracy has mean 0.9 and standard deviation 0.012.
    """

    noise = 0.004

    def __init__(self, space: SearchSpace, seed: int):
        rng = np.random.default_rng(seed)
        count = len(space.operations)
        self._worth, self._partners = rng.normal(size=(2, count)), rng.normal(size=(2, count, count))
        self._partners = (self._partners + self._partners.transpose(0, 2, 1)) / 2
        self._depth_weight, self._combine = rng.normal(size=2), rng.normal(size=(2, len(space.combines)))
        self._space = space
        sample = [self._score(space.sample(random.Random(number))) for number in range(2000)]
        self._mean, self._scale = np.mean(sample), np.std(sample)

    def _score(self, decisions) -> float:
        half, score = len(decisions) // 2, 0.0
        for cell in range(2):
            depths = [0.0] * self._space.num_input_states
            for start in range(0, half, 5):
                left, right, left_op, right_op, combine = decisions[cell * half + start : cell * half + start + 5]
                depths.append(1.0 + max(depths[left], depths[right]))
                score += self._worth[cell, left_op] + self._worth[cell, right_op] + self._partners[cell, left_op, right_op]
                score += self._combine[cell, combine] * 0.5
            score += self._depth_weight[cell] * max(depths)
        return score

    def __call__(self, decisions) -> float:
        """Returns the accuracy without noise, in (0.5, 1)."""
        return float(0.9 + 0.06 * math.tanh(0.2 * (self._score(decisions) - self._mean) / self._scale))


class SurrogateReward:
    """The prediction of a ridge regression that is fitted to trials of real searches; prints the fraction of variance that it explains.

    Args:
      space: search space of the searches.
      paths: journals of the searches.

    Attributes:
      noise: standard deviation of the cross-validation errors.
    """

    def __init__(self, space: SearchSpace, paths: list[pathlib.Path]):
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._space = space
        trials = [trial for path in paths for trial in architectures(read_trials(path.parent))]
        inputs = np.array([features(space, space.encode(trial.genotype)) for trial in trials])
        rewards = np.array([trial.reward for trial in trials])
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 20)))
        unexplained = rewards - cross_val_predict(model, inputs, rewards, cv=KFold(5, shuffle=True, random_state=0))
        self.noise = float(unexplained.std())
        explained = 1 - (self.noise / rewards.std()) ** 2
        print(f"surrogate of {len(trials)} trials: explains {explained:.0%} of the variance of unseen trials; noise {self.noise:.4f}")
        scale, ridge = model.fit(inputs, rewards)
        self._weights = ridge.coef_ / scale.scale_
        self._intercept = ridge.intercept_ - self._weights @ scale.mean_

    def __call__(self, decisions) -> float:
        """Returns the predicted accuracy, in [0, 1]."""
        return min(1.0, max(0.0, float(self._intercept + self._weights @ features(self._space, decisions))))


def child(reward, space: SearchSpace, noise: float, text: str, request: Request) -> dict:
    """Returns the reward of an architecture, with noise drawn for each trial. Another execution of a trial gets an equal reward."""
    genotype = parse_genotype(text)
    decisions = space.encode(genotype)
    exact = reward(decisions)
    noisy = exact + noise * random.Random(f"{genotype.name} {decisions}").gauss(0, 1)
    return {"reward": min(1.0, max(0.0, noisy)), "metrics": {"exact": exact}}


def play(kind: str, seed: int, args: argparse.Namespace) -> dict:
    """Runs or resumes one search, and returns its results."""
    space = SearchSpace()
    reward = SurrogateReward(space, args.surrogate) if args.surrogate else SyntheticReward(space, args.reward_seed)
    noise = reward.noise if args.noise is None else args.noise
    strategy = STRATEGIES[kind](space, seed)
    strategy.propose(), strategy.state()  # loads everything, so that it does not count as memory of the search
    before = resident_megabytes()
    config = SearchConfig(
        space,
        lambda space: STRATEGIES[kind](space, seed),
        functools.partial(SimulatedWorkers, args.workers, seed),
        args.trainings * MAX_PROPOSALS_PER_TRAINING,
        train_again=kind in TRAIN_AGAIN,
        max_trainings=args.trainings,
    )
    identity = {"search.strategy": f"@{kind}", "seed": seed, "noise": noise, "workers": args.workers, **identity_of_reward(args)}
    trials = search(args.workdir / f"{kind}-{seed}", config, functools.partial(child, reward, space, noise), Identity(identity))
    rewarded = sorted((trial for trial in trials if trial.status == "finished"), key=lambda trial: trial.finished_time)
    times = [trial.finished_time for trial in rewarded]
    trained = [trial for trial in rewarded if trial.reused_from is None]
    return {
        "strategy": kind,
        "seed": seed,
        "milliseconds_at_first": milliseconds(times[500:1500]),
        "milliseconds_at_last": milliseconds(times[-1000:]),
        "megabytes": resident_megabytes() - before,
        "failed": sum(trial.status == "failed" for trial in trials),
        "proposed": len(trials),
        "reused": sum(trial.reused_from is not None for trial in trials),
        "again": len(trained) - len({trial.hash for trial in trained}),
        "curves": curves(trained),
    }


def identity_of_reward(args: argparse.Namespace) -> dict:
    """Returns the part of a search's identity that describes its rewards. A search with other rewards is not resumed."""
    if args.surrogate:
        return {"surrogate": [hashlib.sha256(path.read_bytes()).hexdigest() for path in args.surrogate]}
    return {"reward_seed": args.reward_seed}


def name_of_reward(args: argparse.Namespace) -> str:
    """Returns a description of the rewards for people."""
    if args.surrogate:
        return f"a linear fit to {len(args.surrogate)} journals of real searches"
    return f"the formula of --reward_seed={args.reward_seed}"


def milliseconds(times: list[float]) -> float:
    """Returns the mean wall time per trial, from times in the journal. Gaps of a second or more count as interruptions."""
    return float(np.mean([gap for gap in np.diff(times) if gap < 1.0])) * 1000 if len(times) > 1 else math.nan


def resident_megabytes() -> float:
    """Returns the resident memory of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def curves(trained: list[Trial]) -> dict[str, list[float]]:
    """Returns the means of the best 1, 5 and 25 rewards so far, without their noise, at up to CURVE_POINTS numbers of trainings."""
    best, seen, lines = [], set(), {str(top): [] for top in TOPS}
    points = {int(point) for point in np.linspace(max(TOPS), len(trained), CURVE_POINTS)}
    for number, trial in enumerate(trained, 1):
        if trial.hash not in seen:  # each architecture counts once, with its first training
            seen.add(trial.hash)
            # Chosen by the noisy rewards, which the search sees, and reported without noise.
            best = heapq.nlargest(max(TOPS), [*best, (trial.reward, -trial.number, trial.metrics["exact"])])
        if number in points:
            for top in TOPS:
                lines[str(top)].append(float(np.mean([exact for _, _, exact in best[:top]])))
    return {"trainings": sorted(points), **lines}


def at(rows: list[dict], kind: str, top: int, grid) -> np.ndarray:
    """Returns a strategy's mean of the best `top` after the numbers of trainings in `grid`, float [seeds, len(grid)]."""
    lines = [row["curves"] for row in rows if row["strategy"] == kind]
    return np.array([np.interp(grid, line["trainings"], line[str(top)]) for line in lines])


def table(rows: list[dict], trainings: int) -> str:
    """Returns a Markdown table: each strategy's mean of the best 25 after 1/8 to all of the trainings, with its deviation over seeds."""
    grid = [trainings // 8, trainings // 4, trainings // 2, trainings]
    lines = [["strategy", *(f"{number:,} trainings" for number in grid)], ["---"] * (len(grid) + 1)]
    for kind in dict.fromkeys(row["strategy"] for row in rows):
        values = at(rows, kind, max(TOPS), grid)
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(grid))
        lines.append([kind, *(f"{mean:.4f} ± {width:.4f}" for mean, width in zip(values.mean(axis=0), spread, strict=True))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(rows: list[dict], remark: str, path: pathlib.Path) -> None:
    """Draws figure 6: the best, and the means of the best 5 and 25, as each strategy's mean and range over the seeds."""
    figure, axes = plt.subplots(1, len(TOPS), figsize=(13, 4.4), sharey=True, layout="constrained")
    for axis, top in zip(axes, TOPS, strict=True):
        for kind in dict.fromkeys(row["strategy"] for row in rows):
            mine = [row["curves"] for row in rows if row["strategy"] == kind]
            grid = np.linspace(max(TOPS), min(curve["trainings"][-1] for curve in mine), CURVE_POINTS)
            values = at(rows, kind, top, grid)
            (line,) = axis.plot(grid, values.mean(axis=0), label=f"{kind}, {len(mine)} seeds")
            axis.fill_between(grid, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2)
        axis.set_title("the best" if top == 1 else f"mean of the best {top}")
        axis.set_xlabel("architectures trained")
    axes[0].set_ylabel("simulated accuracy, without noise")
    axes[0].legend()
    figure.suptitle(remark)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--trainings", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=450)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES)[:5], choices=list(STRATEGIES))
    parser.add_argument("--surrogate", nargs="+", type=pathlib.Path, default=[], help="journals of searches over the default space")
    parser.add_argument("--reward_seed", type=int, default=0, help="seed of the synthetic reward; ignored with --surrogate")
    parser.add_argument("--noise", type=float, help="standard deviation of the noise in a child's accuracy; default: the reward's own")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel searches")
    args = parser.parse_args()
    rows = []
    # Each search has a process of its own, so that its memory can be measured.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, context, end_with_parent, max_tasks_per_child=1) as pool:
        searches = [pool.submit(play, kind, seed, args) for seed in range(args.seeds) for kind in args.strategies]
        for finished in concurrent.futures.as_completed(searches):
            row = finished.result()
            rows.append(row)
            tops = ", ".join(f"best {top} {row['curves'][str(top)][-1]:.4f}" for top in TOPS)
            print(
                f"{row['strategy']} {row['seed']}: {tops}; {row['milliseconds_at_first']:.1f} ms per trial around the 1,000th, "
                f"{row['milliseconds_at_last']:.1f} at the end; {row['megabytes']:.0f} MB; {row['failed']} failed, "
                f"{row['reused']} of {row['proposed']} proposals reused a reward, {row['again']} were trained again",
                flush=True,
            )
    rows.sort(key=lambda row: (args.strategies.index(row["strategy"]), row["seed"]))
    (args.workdir / "summary.json").write_text(json.dumps(rows))
    remark = f"Simulated, nothing was trained: rewards are {name_of_reward(args)}; {args.workers} workers"
    draw(rows, remark, args.workdir / "figure6.svg")
    print(f"{remark}. Mean of the best {max(TOPS)} without noise; mean and standard deviation over {args.seeds} seeds:")
    print(table(rows, args.trainings))
    print(f"{args.workdir / 'summary.json'}, {args.workdir / 'figure6.svg'}")


if __name__ == "__main__":
    main()
