"""Strategies that propose a given list of architectures, and wrappers that change what another strategy proposes."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from nasnet_tf.base.errors import InputError, SearchPaused
from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Observation, Proposal, Strategy, is_near

_MAX_REFUSED = 1000


class Wrapper(Strategy):
    """Base class of strategies that wrap another one. It forwards every call to the wrapped strategy; subclasses change some of them.

    Args:
      strategy: the strategy to wrap, newly constructed.
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

    def reject(self, proposal: Proposal) -> None:
        self._strategy.reject(proposal)

    def replace(self, own: Proposal, recorded: Proposal) -> None:
        self._strategy.replace(own, recorded)

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
    """Proposes only allowed architectures: it asks another strategy again until its proposal is allowed.

    Rejected architectures are not trained, not learned from, and are not trials. The strategy's probabilities are thereby conditioned on
    the architecture being allowed.

    Args:
      strategy: the strategy to wrap, newly constructed; its `restrict` is called with `is_allowed`.
      is_allowed: returns whether an architecture with these decisions is allowed; always the same answer for the same decisions.
      what: the limits in words, for messages.
    """

    def __init__(self, strategy: Strategy, is_allowed: Callable[[Sequence[int]], bool], what: str):
        super().__init__(strategy)
        self._is_allowed, self._what = functools.cache(is_allowed), what
        strategy.restrict(self._is_allowed)

    def propose(self) -> Proposal:
        """Returns the next allowed proposal of the wrapped strategy.

        Raises:
          SearchPaused: 1,000 proposals in a row were not allowed.
        """
        for _ in range(_MAX_REFUSED):
            proposal = self._strategy.propose()
            if self._is_allowed(tuple(proposal.decisions)):
                return proposal
        refused = f"none of {_MAX_REFUSED:,} architectures proposed in a row was within {self._what}"
        raise SearchPaused(f"{refused}; raise the limit, or use another search space")


class Seeded(Wrapper):
    """Proposes given architectures first, in order, then those of another strategy. That strategy learns all rewards.

    Args:
      strategy: the strategy to wrap, newly constructed.
      seeds: decisions of the architectures to propose first.
    """

    def __init__(self, strategy: Strategy, seeds: Sequence[Sequence[int]]):
        super().__init__(strategy)
        self._seeds, self._next = [tuple(seed) for seed in seeds], 0
        self._identity = {"strategy": "Seeded", "seeds": self._seeds}
        self._last: Proposal | None = None  # the last proposal if it was one of the seeds, else None

    def propose(self) -> Proposal:
        """Returns the next seed; after the last seed, the wrapped strategy's proposal."""
        self._last = None
        if self._next == len(self._seeds):
            return self._strategy.propose()
        self._next += 1
        self._last = self._strategy.proposal_of(self._seeds[self._next - 1])
        return self._last

    def would_propose(self, proposal: Proposal) -> bool:
        """Returns whether `proposal` equals the last seed up to rounding; after the seeds, asks the wrapped strategy."""
        return self._strategy.would_propose(proposal) if self._last is None else is_near(proposal, self._last)

    def state(self) -> bytes:
        """Returns the index of the next seed and the state of the wrapped strategy, as bytes."""
        return states.packed(self._identity, {"next": np.array(self._next), "strategy": np.frombuffer(self._strategy.state(), np.uint8)})

    def restore(self, state: bytes) -> None:
        """Restores what `state` returned; see `Strategy.restore`."""
        arrays = states.unpacked(self._identity, state)
        self._strategy.restore(arrays["strategy"].tobytes())
        self._next, self._last = arrays["next"].item(), None


def seeds_of(space: SearchSpace, names: Sequence[str]) -> list[tuple[int, ...]]:
    """Returns the decisions of genotypes, given by name or path.

    If the space does not contain a genotype, the nearest architecture of the space is used and a message says so.

    Raises:
      InputError: a genotype does not exist, or has blocks that the space does not contain.
    """
    found = []
    for name in names:
        genotype = load_genotype(name)
        decisions = space.nearest(genotype)
        try:
            space.encode(genotype)
        except InputError as error:
            print(f"search.seeds: {name}: {error}; using the architecture of the space with the same blocks in the searched cells")
        found.append(decisions)
    return found


class GivenOrder(Strategy):
    """Proposes the architectures of a list, one after the other, and ignores rewards."""

    def __init__(self, decisions: Sequence[tuple[int, ...]]):
        self._identity = {"strategy": "GivenOrder"}  # without the list, which grows when more architectures are retrained
        self._decisions, self._next = decisions, 0

    def propose(self) -> Proposal:
        """Returns the next architecture of the list."""
        self._next += 1
        return Proposal(self._decisions[self._next - 1])

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Ignores the reward."""

    def state(self) -> bytes:
        """Returns the index of the next architecture, as bytes."""
        return states.packed(self._identity, {"next": np.array(self._next)})

    def restore(self, state: bytes) -> None:
        """Restores the index of the next architecture."""
        self._next = states.unpacked(self._identity, state)["next"].item()
