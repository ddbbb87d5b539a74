"""The time to build and trace the mobile network and run its first training step, and the memory of training, compared with Keras."""

import resource

from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, alone_in_turns, timed


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured in alternating processes."""
    peer = find_case("mobile", options.quick).peer
    results = alone_in_turns({"ours": our_first, peer: their_first}, options.rounds, options.quick)

    def of(unit):
        return {who: [result[unit] for result in found] for who, found in results.items()}

    first = Row("first training step: build, trace, run, mobile, batch 32", "s", of("s"), "6")
    return [first, Row("peak memory of training, mobile, batch 32", "GB", of("GB"), "1.67")]


def our_first(quick: bool):
    """Returns the time and the memory of our first training step; see `_first`."""
    case = find_case("mobile", quick)
    return _first(case.our_step, case.batch(4 if quick else 32))


def their_first(quick: bool):
    """Returns the time and the memory of the peer's first training step; see `_first`."""
    case = find_case("mobile", quick)
    return _first(case.their_step, case.batch(4 if quick else 32))


def _first(make, batch):
    """Returns the time of the first step and the peak memory. The memory is read after a second step, because the first may need less."""
    steps = []

    def first():
        steps.append(make(batch))
        steps[0]()

    sample = timed(first)
    steps[0]()
    return {"s": sample, "GB": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]}
