"""Regularized evolution (Real, Aggarwal, Huang, Le: arXiv 1802.01548), which found AmoebaNet in the paper's search space.

The population is a queue of the architectures whose rewards arrived last. For a proposal, a few of them are drawn, and the best of these is
mutated in one decision. Each new reward adds its architecture and removes the oldest one, however good that is. Proposals are random until
the population is full for the first time. As in the paper, children run in parallel.
"""

import collections
import dataclasses
import random

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, Part, Seed, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.genotype.search_space import DECISIONS_PER_BLOCK
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_decisions, check_reward

# The indices of a block's five decisions that each kind of mutation may change.
# Deviation: AmoebaNet's blocks always add, so its paper mutates only hidden states and operations. Here the combine is mutated too, with
# the same probability as each of the other two kinds.
_KINDS = {"hidden state": (0, 1), "operation": (2, 3), "combine": (4,)}


@dataclasses.dataclass(eq=False)
class RegularizedEvolution(Strategy):
    """Aging evolution with tournament selection (arXiv 1802.01548, algorithm 1). The defaults are those of that paper.

    Attributes:
      space: the search space.
      seed: seed of all random draws, in [0, 2^31).
      population: number of architectures in the population, at least 1.
      tournament: number of architectures that are drawn with replacement to compete to be the parent (S in that paper); at least 1 and at
        most `population`.
      identity_probability: probability that a child equals its parent, in [0, 1].
    """

    space: SearchSpace
    seed: Seed
    population: Count = 100
    tournament: Count = 25
    identity_probability: Part = 0.05

    def __post_init__(self):
        check_fields(self)
        if self.tournament > self.population:
            raise InputError(f"RegularizedEvolution.tournament: expected at most the population, {self.population}, got {self.tournament}")
        self._random = random.Random(self.seed)
        self._population: collections.deque[tuple[tuple[int, ...], float]] = collections.deque(maxlen=self.population)  # oldest first
        places = {
            kind: [place for place, size in enumerate(self.space.sizes) if size > 1 and place % DECISIONS_PER_BLOCK in within_block]
            for kind, within_block in _KINDS.items()
        }
        self._mutable = [kind for kind in places.values() if kind]

    def propose(self) -> Proposal:
        if len(self._population) < self._population.maxlen:
            return Proposal(self.space.sample(self._random))
        contestants = self._random.choices(self._population, k=self.tournament)
        parent, _ = max(contestants, key=lambda contestant: contestant[1])
        return Proposal(self._mutated(parent))

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Adds an architecture to the population, and removes the oldest one if the population is full."""
        check_reward(reward)
        check_decisions("RegularizedEvolution", self.space, proposal.decisions)
        self._population.append((tuple(proposal.decisions), float(reward)))

    def diagnostics(self) -> dict[str, float]:
        """Returns the size of the population and, unless it is empty, the best and the mean of its rewards."""
        rewards = [reward for _, reward in self._population]
        known = {"best": max(rewards), "mean": sum(rewards) / len(rewards)} if rewards else {}
        return {"population": float(len(rewards)), **known}

    def state(self) -> bytes:
        arrays = {
            "random": states.of_random(self._random),
            "decisions": np.array([decisions for decisions, _ in self._population], np.int32),
            "rewards": np.array([reward for _, reward in self._population]),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        arrays = states.unpacked(states.identity_of(self), state)
        states.set_random(self._random, arrays["random"])
        self._population.clear()
        self._population.extend(zip(map(tuple, arrays["decisions"].tolist()), arrays["rewards"].tolist(), strict=True))

    def _mutated(self, parent: tuple[int, ...]) -> tuple[int, ...]:
        """Changes one decision of `parent` to another value, or returns `parent` with probability `identity_probability`.

        The kind of decision, the decision of that kind, and the value are each drawn uniformly.
        """
        if not self._mutable or self._random.random() < self.identity_probability:
            return parent
        place = self._random.choice(self._random.choice(self._mutable))
        value = self._random.randrange(self.space.sizes[place] - 1)
        value += value >= parent[place]  # skips the current value
        return (*parent[:place], value, *parent[place + 1 :])
