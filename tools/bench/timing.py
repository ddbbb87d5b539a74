"""Measures wall time and processor time, ours and a peer's in turns, and the spread of their ratios over the rounds."""

import dataclasses
import functools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

ROOT = pathlib.Path(__file__).parents[2]

# The head of the Markdown table. A cell holds a number by wall time, a slash, and the same number by processor time.
HEADER = "| what | ours | peer | ratio | least, most | goal |\n|---|---|---|---|---|---|"

LIMIT = "limit: TensorFlow's kernels"  # instead of a goal, for ratios that the kernels decide

# Calls a function of a module; prints its result as JSON on the last line.
_ALONE = """
import importlib, json, sys
module, function, arguments = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(arguments))))
"""

# The measurement of one round: [wall seconds, processor seconds] or [gigabytes of memory]. Less is better.
Sample = list[float]


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the command.

    Attributes:
      rounds: number of measurements of each row.
      quick: True tests the code with tiny sizes; the numbers then mean nothing.
      data_dir: TensorFlow Datasets folder with ImageNet; None for random pictures.
      workdir: folder for temporary files.
    """

    rounds: int
    quick: bool
    data_dir: str | None
    workdir: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
      what: description of what is measured.
      unit: "s", "ms" or "GB", or a rate such as "images/s".
      samples: {who: a sample for each round}; "ours" comes first, then the peer if there is one.
      goal: goal for the ratio or for our value, as text; "" for none.
      amount: for a rate, the number of images or other items in one sample.
    """

    what: str
    unit: str
    samples: Mapping[str, list[Sample]]
    goal: str = ""
    amount: float = 1.0

    def value(self, who: str, clock: int = 0) -> float:
        """Returns the median over the rounds, in the unit; clock 0 is wall time, clock 1 processor time."""
        cost = statistics.median(sample[clock] for sample in self.samples[who])
        return self.amount / cost if "/" in self.unit else cost * {"s": 1, "ms": 1000, "GB": 1}[self.unit]

    def ratios(self, clock: int = 0) -> list[float]:
        """Returns the median, least and most of the peer's cost divided by ours, over the rounds; empty without a peer."""
        if len(self.samples) < 2:
            return []
        ours, theirs = self.samples.values()
        found = [b[clock] / a[clock] for a, b in zip(ours, theirs, strict=True)]
        return [statistics.median(found), min(found), max(found)]

    def line(self) -> str:
        """Returns the row as a line of the table under HEADER."""
        clocks = range(len(next(iter(self.samples.values()))[0]))
        costs = [f"{' / '.join(f'{self.value(who, clock):.3g}' for clock in clocks)} {self.unit}" for who in self.samples]
        peer = f"{list(self.samples)[1]}: {costs[1]}" if len(costs) > 1 else ""
        ratios = [found for clock in clocks if (found := self.ratios(clock))]
        middle = " / ".join(f"{median:.2f}" for median, _, _ in ratios)
        spread = " / ".join(f"{least:.2f}, {most:.2f}" for _, least, most in ratios)
        return f"| {self.what} | {costs[0]} | {peer} | {middle} | {spread} | {self.goal} |"

    def record(self) -> dict:
        """Returns the row as JSON-ready values."""
        clocks = range(len(next(iter(self.samples.values()))[0]))
        values = {who: [self.value(who, clock) for clock in clocks] for who in self.samples}
        fields = dataclasses.asdict(self)
        return fields | {"values": values, "ratios": [self.ratios(clock) for clock in clocks]}


def on_one_core() -> None:
    """Binds this process to one core; in a test it does nothing, because later tests may use all cores."""
    if hasattr(os, "sched_setaffinity") and "PYTEST_CURRENT_TEST" not in os.environ:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(call: Callable[[], object], cpu_seconds: Callable[[], float] = time.process_time) -> Sample:
    """Returns the sample of one call; `cpu_seconds` is the clock of its processor time."""
    start, cpu_start = time.perf_counter(), cpu_seconds()
    call()
    return [time.perf_counter() - start, cpu_seconds() - cpu_start]


def timed_process(command: Sequence[str]) -> Sample:
    """Returns the sample of a process and its children; their output is dropped."""
    run = functools.partial(subprocess.run, command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return timed(run, lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]))  # user and system time


def total(*samples: Sample) -> Sample:
    """Returns the sum of samples that were taken one after the other."""
    return [sum(values) for values in zip(*samples, strict=True)]


def in_turns(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, list[Sample]]:
    """Returns {name: samples}. Each round makes all calls, so that other load affects them equally; warm-up rounds do not count."""
    samples = {who: [] for who in calls}
    for number in range(warm_up + rounds):
        for who, call in calls.items():
            sample = timed(call)
            if number >= warm_up:
                samples[who].append(sample)
    return samples


def alone(function: Callable, *arguments):
    """Returns the result of a module's function that runs in a process of its own; arguments and result are JSON-ready."""
    command = [sys.executable, "-c", _ALONE, function.__module__, function.__name__, json.dumps(arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def alone_in_turns(functions: Mapping[str, Callable], rounds: int, *arguments) -> dict[str, list]:
    """Returns {name: results}. Each round runs all functions, each in a process of its own."""
    results = {who: [] for who in functions}
    for _ in range(rounds):
        for who, function in functions.items():
            results[who].append(alone(function, *arguments))
    return results
