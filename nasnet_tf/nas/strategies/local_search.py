"""Local search: tries all neighbors of the best architecture, and restarts at random when none of them is better.

It is a strong baseline that needs no model (White et al., arXiv 2005.02960).
"""

import dataclasses
import random

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, Seed, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_decisions, check_reward


@dataclasses.dataclass(eq=False)
class LocalSearch(Strategy):
    """Proposes the neighbors of the best architecture, in random order, and restarts at random when all of them are proposed.

    A neighbor differs from the architecture in one decision. No neighbor is proposed twice.

    Attributes:
      space: the search space.
      seed: seed of all random draws, in [0, 2^31).
      starts: number of random architectures at the beginning, 1 or more. The best of them is the first whose neighbors are tried.
    """

    space: SearchSpace
    seed: Seed
    starts: Count = 10

    def __post_init__(self):
        check_fields(self)
        self._random = random.Random(self.seed)
        self._starts_left = self.starts
        self._best: tuple[tuple[int, ...], float] | None = None  # decisions and reward of the best since the last restart
        self._neighbors: list[tuple[int, ...]] = []  # neighbors of the best that have not been proposed yet
        self._proposed: set[tuple[int, ...]] = set()
        self._starts: set[tuple[int, ...]] = set()  # the random architectures since the last restart
        self._restarts = 0

    def propose(self) -> Proposal:
        while True:
            is_random = self._starts_left > 0
            if is_random:
                self._starts_left -= 1
                decisions = self.space.sample(self._random)
            elif self._neighbors:
                decisions = self._neighbors.pop()
            else:  # all neighbors are proposed: this is a local optimum, or the last neighbors are still being trained
                if self._best is not None:
                    self._best, self._starts = None, set()
                    self._restarts += 1
                self._starts_left = 1
                continue
            if is_random:
                self._starts.add(decisions)
            if is_random or decisions not in self._proposed:
                self._proposed.add(decisions)
                return Proposal(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Moves to the proposal if it is better than the best architecture since the last restart.

        After a restart the first move is to one of its random architectures: rewards that arrive late from before count only then.
        """
        check_reward(reward)
        check_decisions("LocalSearch", self.space, proposal.decisions)
        found = tuple(proposal.decisions)
        if self._best is None and self._restarts and found not in self._starts:
            return
        if self._best is None or reward > self._best[1]:
            self._best = found, float(reward)
            self._neighbors = [
                (*found[:place], value, *found[place + 1 :])
                for place, size in enumerate(self.space.sizes)
                for value in range(size)
                if value != found[place]
            ]
            self._random.shuffle(self._neighbors)

    def diagnostics(self) -> dict[str, float]:
        """Returns the number of restarts, the number of neighbors left and, once known, the best reward since the last restart."""
        known = {} if self._best is None else {"best": self._best[1]}
        return {"restarts": float(self._restarts), "neighbors": float(len(self._neighbors)), **known}

    def state(self) -> bytes:
        width = len(self.space.sizes)
        best = [] if self._best is None else [self._best]
        arrays = {
            "random": states.of_random(self._random),
            "numbers": np.array([self._starts_left, self._restarts]),
            "best": np.array([decisions for decisions, _ in best], np.int32).reshape(-1, width),
            "best_reward": np.array([reward for _, reward in best]),
            "neighbors": np.array(self._neighbors, np.int32).reshape(-1, width),
            "starts": np.array(sorted(self._starts), np.int32).reshape(-1, width),
            "proposed": np.array(sorted(self._proposed), np.int32).reshape(-1, width),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        arrays = states.unpacked(states.identity_of(self), state)
        if "starts" not in arrays:  # version 0.3.0 did not keep them
            raise InputError("state of LocalSearch: expected the architectures since the last restart")
        states.set_random(self._random, arrays["random"])
        self._starts_left, self._restarts = arrays["numbers"].tolist()
        names = ("best", "neighbors", "starts", "proposed")
        best, self._neighbors, starts, proposed = (list(map(tuple, arrays[name].tolist())) for name in names)
        self._best = (best[0], arrays["best_reward"].item()) if best else None
        self._starts, self._proposed = set(starts), set(proposed)
