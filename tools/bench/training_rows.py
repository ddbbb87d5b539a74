"""Training steps of the mobile network and of a search's child, beside Keras; the first one, and the memory it takes."""

import resource

from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, alone, alone_in_turns, in_turns, timed


def measure(options: Options) -> list[Row]:
    """Steady steps in one process, first ones and memory in alternating processes."""
    cases = [("mobile", 32, "1.5"), ("child", 32, "1.5"), ("child", 128, "1.5")]
    rows = []
    for name, batch_size, goal in cases[: 1 if options.quick else None]:
        what = f"training step, {name}, batch {batch_size}"
        rows.append(Row(what, "images/s", alone(steps, name, batch_size, options.rounds, options.quick), goal, batch_size))
    results = alone_in_turns({"ours": our_first, "theirs": their_first}, options.rounds, options.quick)
    ours, theirs = results.values()
    for what, unit, goal in (("first training step: build, trace, run", "s", "6"), ("memory of training, most", "GB", "1.67")):
        samples = {"ours": [result[unit] for result in ours], find_case("mobile", options.quick).peer: [result[unit] for result in theirs]}
        rows.append(Row(f"{what}, mobile, batch 32", unit, samples, goal))
    return rows


def steps(name: str, batch_size: int, rounds: int, quick: bool):
    case = find_case(name, quick)
    batch = case.batch(4 if quick else batch_size)
    return in_turns({"ours": case.our_step(batch), case.peer: case.their_step(batch)}, rounds)


def our_first(quick: bool):
    case = find_case("mobile", quick)
    return _first(case.our_step, case.batch(4 if quick else 32))


def their_first(quick: bool):
    case = find_case("mobile", quick)
    return _first(case.their_step, case.batch(4 if quick else 32))


def _first(make, batch):
    """A second step is taken for the memory: the first one may find less in its way."""
    steps = []

    def first():
        steps.append(make(batch))
        steps[0]()

    sample = timed(first)
    steps[0]()
    return {"s": sample, "GB": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]}
