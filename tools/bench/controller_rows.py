"""The cost of the controller on one core: proposing a minibatch of architectures of the paper's space and learning from their rewards."""

import os

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from tools.bench.timing import Options, Row, alone, in_turns, total

_MINIBATCH = 20
_WARM_UP = 3


def measure(options: Options) -> list[Row]:
    """Returns the rows, for PPOSearch with its default settings: ten passes over a minibatch."""
    samples = alone(minibatches, options.rounds if options.quick else 10 * options.rounds)
    both = [total(*pair) for pair in zip(*samples.values(), strict=True)]
    rows = [Row("propose 20 architectures and learn from them", "ms", {"ours": both}, "10 ms")]
    return rows + [Row(f"controller: {what}", "ms", {"ours": found}) for what, found in samples.items()]


def minibatches(rounds: int):
    """Returns the samples of proposing a minibatch and of learning from it."""
    if hasattr(os, "sched_setaffinity") and "PYTEST_CURRENT_TEST" not in os.environ:  # a test must leave all cores to later tests
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    strategy, proposals = PPOSearch(SearchSpace(), seed=0, minibatch=_MINIBATCH), []

    def propose():
        proposals[:] = [strategy.propose() for _ in range(_MINIBATCH)]

    def learn():
        for proposal in proposals:
            strategy.feedback(proposal, sum(proposal.decisions) / len(proposal.decisions))

    return in_turns({"proposing": propose, "learning": learn}, rounds, _WARM_UP)
