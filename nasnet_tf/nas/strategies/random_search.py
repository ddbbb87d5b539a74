"""Random search (paper section 4.4)."""

import random

from nasnet_tf.base.values import Seed, checked
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_reward


class RandomSearch(Strategy):
    """All decisions uniform and independent: the paper's random search (section 4.4).

    Args:
      space: the decisions to take.
      seed: of all draws, in [0, 2^31).
    """

    @checked
    def __init__(self, space: SearchSpace, seed: Seed):
        self._identity = {"strategy": "RandomSearch", "space": space.description(), "seed": seed}
        self._space = space
        self._random = random.Random(seed)

    def propose(self) -> Proposal:
        return Proposal(self._space.sample(self._random))

    def feedback(self, proposal: Proposal, reward: float) -> None:
        check_reward(reward)

    def state(self) -> bytes:
        return states.packed(self._identity, {"random": states.of_random(self._random)})

    def restore(self, state: bytes) -> None:
        states.set_random(self._random, states.unpacked(self._identity, state)["random"])
