"""Training steps of the mobile network and of a search's child, compared with Keras."""

from collections.abc import Iterator

from tools.bench.networks import find_case
from tools.bench.timing import LIMIT, Options, Row, alone, in_turns


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows. Each has a process of its own, in which ours and the peer's take turns."""
    for name, batch_size in [("mobile", 32), ("child", 32), ("child", 128)][: 1 if options.quick else None]:
        samples = alone(steps, name, batch_size, options.rounds, options.quick)
        yield Row(f"training step, {name}, batch {batch_size}", "images/s", samples, LIMIT, batch_size)


def steps(name: str, batch_size: int, rounds: int, quick: bool):
    """Returns the samples of our training step and of the peer's."""
    case = find_case(name, quick)
    batch = case.batch(4 if quick else batch_size)
    return in_turns({"ours": case.our_step(batch), case.peer: case.their_step(batch)}, rounds)
