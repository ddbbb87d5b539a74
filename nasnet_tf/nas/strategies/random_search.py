"""Random search (paper section 4.4)."""

import dataclasses
import random

from nasnet_tf.base.values import Seed, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_reward


@dataclasses.dataclass(eq=False)
class RandomSearch(Strategy):
    """Draws every decision uniformly and independently: the paper's random search (section 4.4).

    Attributes:
      space: the search space to draw from.
      seed: seed of all random draws, in [0, 2^31).
    """

    space: SearchSpace
    seed: Seed

    def __post_init__(self):
        check_fields(self)
        self._random = random.Random(self.seed)

    def propose(self) -> Proposal:
        return Proposal(self.space.sample(self._random))

    def feedback(self, proposal: Proposal, reward: float) -> None:
        check_reward(reward)

    def state(self) -> bytes:
        return states.packed(states.identity_of(self), {"random": states.of_random(self._random)})

    def restore(self, state: bytes) -> None:
        states.set_random(self._random, states.unpacked(states.identity_of(self), state)["random"])
