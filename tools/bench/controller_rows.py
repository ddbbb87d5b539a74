"""The cost of the controller on one core: proposing a minibatch of architectures of the paper's space and learning from their rewards."""

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from tools.bench.timing import Options, Row, alone, in_turns, on_one_core, total

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
    on_one_core()
    strategy, proposals = PPOSearch(SearchSpace(), seed=0, minibatch=_MINIBATCH), []

    def propose():
        proposals[:] = [strategy.propose() for _ in range(_MINIBATCH)]

    def learn():
        for proposal in proposals:
            strategy.feedback(proposal, sum(proposal.decisions) / len(proposal.decisions))

    return in_turns({"proposing": propose, "learning": learn}, rounds, _WARM_UP)
