"""Strategies that propose given architectures, in their order."""

from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, is_near


class Seeded(Strategy):
    """Proposes given architectures, one after the other, and then what another strategy proposes, which learns of all.

    Args:
      strategy: the other one, fresh.
      seeds: decisions of its space.
    """

    def __init__(self, strategy: Strategy, seeds: Sequence[Sequence[int]]):
        self._strategy, self._seeds, self._next = strategy, [tuple(seed) for seed in seeds], 0
        self._identity = {"strategy": "Seeded", "seeds": self._seeds}
        self._last: Proposal | None = None  # the seed proposed last, None since the others began

    def propose(self) -> Proposal:
        """The next seed; after them, the strategy's proposal."""
        self._last = None
        if self._next == len(self._seeds):
            return self._strategy.propose()
        self._next += 1
        self._last = self._strategy.proposal_of(self._seeds[self._next - 1])
        return self._last

    def would_propose(self, proposal: Proposal) -> bool:
        """Whether it is nearly the last seed, or the other strategy would propose it."""
        return self._strategy.would_propose(proposal) if self._last is None else is_near(proposal, self._last)

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """The strategy's own."""
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Goes to the strategy."""
        self._strategy.feedback(proposal, reward)

    def diagnostics(self) -> dict[str, float]:
        """The strategy's."""
        return self._strategy.diagnostics()

    def state(self) -> bytes:
        """Which seed is next, and the strategy's state."""
        return states.packed(self._identity, {"next": np.array(self._next), "strategy": np.frombuffer(self._strategy.state(), np.uint8)})

    def restore(self, state: bytes) -> None:
        """As of Strategy."""
        arrays = states.unpacked(self._identity, state)
        self._strategy.restore(arrays["strategy"].tobytes())
        self._next, self._last = arrays["next"].item(), None


def seeds_of(space: SearchSpace, names: Sequence[str]) -> list[tuple[int, ...]]:
    """Decisions of genotypes by their names or paths; says so where an architecture of the space is only the nearest to one.

    Raises:
      InputError: no such genotype, or one with other blocks than the space's.
    """
    found = []
    for name in names:
        genotype = load_genotype(name)
        decisions = space.nearest(genotype)
        try:
            space.encode(genotype)
        except InputError as error:
            print(f"search.seeds: {name}: {error}; tried is the one of the same blocks in the cells that are searched")
        found.append(decisions)
    return found


class GivenOrder(Strategy):
    """A strategy that proposes a list of architectures, one after the other."""

    def __init__(self, decisions: Sequence[tuple[int, ...]]):
        self._identity = {"strategy": "GivenOrder"}  # not the list, which grows when more are retrained
        self._decisions, self._next = decisions, 0

    def propose(self) -> Proposal:
        """The next of the list."""
        self._next += 1
        return Proposal(self._decisions[self._next - 1])

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Changes nothing."""

    def state(self) -> bytes:
        """Where in the list it stands."""
        return states.packed(self._identity, {"next": np.array(self._next)})

    def restore(self, state: bytes) -> None:
        """Takes up at a place in the list."""
        self._next = states.unpacked(self._identity, state)["next"].item()
