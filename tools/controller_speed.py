"""Measures what the search's controller costs for each architecture, on one core.

    python tools/controller_speed.py
    python tools/controller_speed.py --epochs=3 --rounds=50

Each round proposes a minibatch of architectures of the paper's space (sampling) and answers them, which makes one update (updating).
Prints medians over the rounds, in milliseconds for each architecture: by the clock, and of processor time, which other work on the machine
disturbs less.
"""

import argparse
import os
import statistics
import time

WARM_UP_ROUNDS = 3  # the first traces and compiles


def measure(strategy, minibatch: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """{"sampling", "updating", "together"}: (wall, processor) milliseconds for each architecture, one pair for each round."""
    rows = {"sampling": [], "updating": [], "together": []}
    for _ in range(WARM_UP_ROUNDS + rounds):
        times = [_now()]
        proposals = [strategy.propose() for _ in range(minibatch)]
        times.append(_now())
        for proposal in proposals:
            strategy.feedback(proposal, sum(proposal.decisions) / len(proposal.decisions))
        times.append(_now())
        for kind, (start, end) in zip(rows, ((0, 1), (1, 2), (0, 2)), strict=True):
            rows[kind].append(tuple(1000 * (after - before) / minibatch for before, after in zip(times[start], times[end], strict=True)))
    return {kind: pairs[WARM_UP_ROUNDS:] for kind, pairs in rows.items()}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minibatch", type=int, default=20)
    parser.add_argument("--epochs", type=int, help="passes over a minibatch; default: that of PPOSearch")
    parser.add_argument("--hidden_units", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before TensorFlow counts the cores
    from nasnet_tf.genotype import SearchSpace
    from nasnet_tf.nas.strategies import PPOSearch

    passes = {} if args.epochs is None else {"epochs": args.epochs}
    strategy = PPOSearch(SearchSpace(), seed=0, minibatch=args.minibatch, hidden_units=args.hidden_units, **passes)
    for kind, pairs in measure(strategy, args.minibatch, args.rounds).items():
        wall, processor = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{kind}: {wall:.3f} ms, {processor:.3f} ms of processor time")


if __name__ == "__main__":
    main()
