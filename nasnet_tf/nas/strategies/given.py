"""Strategies that propose given architectures, in their order, or only some of what another strategy proposes."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from nasnet_tf.base.errors import InputError, SearchPaused
from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Observation, Proposal, Strategy, is_near

_MOST_REFUSED = 1000


class Wrapper(Strategy):
    """A strategy around another one, which learns of all.

    Args:
      strategy: the other one, fresh.
    """

    def __init__(self, strategy: Strategy):
        self._strategy = strategy

    def propose(self) -> Proposal:
        return self._strategy.propose()

    def would_propose(self, proposal: Proposal) -> bool:
        return self._strategy.would_propose(proposal)

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        self._strategy.feedback(proposal, reward)

    def observe(self, observation: Observation) -> None:
        self._strategy.observe(observation)

    def prime(self, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        self._strategy.prime(decisions, rewards)

    def restrict(self, is_allowed: Callable[[Sequence[int]], bool]) -> None:
        self._strategy.restrict(is_allowed)

    def expected_gain(self, trainings: int) -> float | None:
        return self._strategy.expected_gain(trainings)

    def diagnostics(self) -> dict[str, float]:
        return self._strategy.diagnostics()

    def state(self) -> bytes:
        return self._strategy.state()

    def restore(self, state: bytes) -> None:
        self._strategy.restore(state)


class Allowed(Wrapper):
    """Proposes what another strategy proposes and is allowed: it is asked again until that is so.

    What was refused is neither trained nor learned, and no trial. A policy of probabilities so becomes that of the allowed architectures.

    Args:
      strategy: the other one, fresh; it hears of the restriction.
      is_allowed: decisions -> bool, always the same.
      what: is allowed, in words.
    """

    def __init__(self, strategy: Strategy, is_allowed: Callable[[Sequence[int]], bool], what: str):
        super().__init__(strategy)
        self._is_allowed, self._what = functools.cache(is_allowed), what
        strategy.restrict(self._is_allowed)

    def propose(self) -> Proposal:
        """The strategy's next that is allowed; SearchPaused where 1,000 in turn are not."""
        for _ in range(_MOST_REFUSED):
            proposal = self._strategy.propose()
            if self._is_allowed(tuple(proposal.decisions)):
                return proposal
        raise SearchPaused(f"none of {_MOST_REFUSED:,} architectures in turn was within {self._what}")


class Seeded(Wrapper):
    """Proposes given architectures, one after the other, and then what another strategy proposes, which learns of all.

    Args:
      strategy: the other one, fresh.
      seeds: decisions of its space.
    """

    def __init__(self, strategy: Strategy, seeds: Sequence[Sequence[int]]):
        super().__init__(strategy)
        self._seeds, self._next = [tuple(seed) for seed in seeds], 0
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
