"""What is measured, by the clock and in processor time, ours and a peer's in turns; ratios with their spread over the rounds."""

import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

ROOT = pathlib.Path(__file__).parents[2]

# A table in Markdown. Behind a stroke: of processor time.
HEADER = "| what | ours | peer | ratio | least, most | goal |\n|---|---|---|---|---|---|"

LIMIT = "limit: TensorFlow's kernels"  # in the place of a goal, where they decide the ratio

# Calls a function of a module; prints its result as JSON on the last line.
_ALONE = """
import importlib, json, sys
module, function, arguments = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(arguments))))
"""

# Of one round: seconds (by the clock, of processor time), or gigabytes of memory alone. Less is better.
Sample = list[float]


@dataclasses.dataclass(frozen=True)
class Options:
    """Attributes:
    rounds: how many times everything is measured.
    quick: tiny sizes, to try the code; the figures mean nothing.
    data_dir: where TensorFlow Datasets has ImageNet; None for pictures that are made here.
    workdir: for files that are needed on the way.
    """

    rounds: int
    quick: bool
    data_dir: str | None
    workdir: str


@dataclasses.dataclass(frozen=True)
class Row:
    """Attributes:
    what: in words.
    unit: "s", "ms" or "GB" of a sample; or something per time, of which a sample has `amount`.
    samples: {who: samples of the rounds}; "ours" first, then the peer, if there is one.
    goal: of the ratio, or in the unit.
    """

    what: str
    unit: str
    samples: Mapping[str, list[Sample]]
    goal: str = ""
    amount: float = 1.0

    def value(self, who: str, clock: int = 0) -> float:
        """The median over the rounds, in the unit; clock 1 is that of processor time."""
        cost = statistics.median(sample[clock] for sample in self.samples[who])
        return self.amount / cost if "/" in self.unit else cost * {"s": 1, "ms": 1000, "GB": 1}[self.unit]

    def ratios(self, clock: int = 0) -> list[float]:
        """Median, least and most over the rounds of the peer's cost by ours: how many times better we are. Empty without a peer."""
        if len(self.samples) < 2:
            return []
        ours, theirs = self.samples.values()
        found = [b[clock] / a[clock] for a, b in zip(ours, theirs, strict=True)]
        return [statistics.median(found), min(found), max(found)]

    def line(self) -> str:
        """Of the table under HEADER."""
        clocks = range(len(next(iter(self.samples.values()))[0]))
        costs = [f"{' / '.join(f'{self.value(who, clock):.3g}' for clock in clocks)} {self.unit}" for who in self.samples]
        peer = f"{list(self.samples)[1]}: {costs[1]}" if len(costs) > 1 else ""
        ratios = [found for clock in clocks if (found := self.ratios(clock))]
        middle = " / ".join(f"{median:.2f}" for median, _, _ in ratios)
        spread = " / ".join(f"{least:.2f}, {most:.2f}" for _, least, most in ratios)
        return f"| {self.what} | {costs[0]} | {peer} | {middle} | {spread} | {self.goal} |"

    def record(self) -> dict:
        """JSON-ready."""
        clocks = range(len(next(iter(self.samples.values()))[0]))
        values = {who: [self.value(who, clock) for clock in clocks] for who in self.samples}
        fields = dataclasses.asdict(self)
        return fields | {"values": values, "ratios": [self.ratios(clock) for clock in clocks]}


def timed(call: Callable[[], object]) -> Sample:
    """Of one call."""
    start, cpu_start = time.perf_counter(), time.process_time()
    call()
    return [time.perf_counter() - start, time.process_time() - cpu_start]


def total(*samples: Sample) -> Sample:
    """The sums of samples that were taken one after the other."""
    return [sum(values) for values in zip(*samples, strict=True)]


def in_turns(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, list[Sample]]:
    """Each in every round, so that whatever else the machine does hits all alike."""
    samples = {who: [] for who in calls}
    for number in range(warm_up + rounds):
        for who, call in calls.items():
            sample = timed(call)
            if number >= warm_up:
                samples[who].append(sample)
    return samples


def alone(function: Callable, *arguments):
    """What a function of a module of this package returns, in a process of its own; arguments and result are JSON-ready."""
    command = [sys.executable, "-c", _ALONE, function.__module__, function.__name__, json.dumps(arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def alone_in_turns(functions: Mapping[str, Callable], rounds: int, *arguments) -> dict[str, list]:
    """The results of each function in a process of its own for every round."""
    results = {who: [] for who in functions}
    for _ in range(rounds):
        for who, function in functions.items():
            results[who].append(alone(function, *arguments))
    return results
