"""A strategy that trains only what is promising: a surrogate of the rewards so far chooses among another strategy's proposals."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.values import Count, Part, Seed, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.genotype.search_space import DECISIONS_PER_BLOCK
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_decisions, check_reward, is_near

linear_model, pipeline, preprocessing = (OnDemand(f"sklearn.{name}") for name in ("linear_model", "pipeline", "preprocessing"))

# Of the squared weights beside a sum of squares over trials. By five folds of the 170 trials of testdata/cifar10_search, 10 explains 32% of
# the variance of trials not seen, 1 explains 30%, 30 to 100 explain 35%.
_RIDGE = 10.0
_DIGITS = 6  # that predictions are compared to: those after them depend on the machine


def features(space: SearchSpace, decisions: Sequence[int]) -> list[float]:
    """How often each searched cell has each operation and combine, its depth, and how many of its states are outputs."""
    each, found = DECISIONS_PER_BLOCK * space.num_blocks, []
    for place in range(len(space.searched)):
        cell = decisions[place * each :][:each]
        operations, combines = [0.0] * len(space.operations), [0.0] * len(space.combines)
        depths, used = [0.0] * space.num_input_states, set()
        for start in range(0, each, DECISIONS_PER_BLOCK):
            left, right, left_op, right_op, combine = cell[start : start + DECISIONS_PER_BLOCK]
            operations[left_op] += 1
            operations[right_op] += 1
            combines[combine] += 1
            depths.append(1.0 + max(depths[left], depths[right]))
            used |= {left, right}
        found += [*operations, *combines, max(depths), float(len(depths) - len(used))]
    return found


def fitted(inputs: np.ndarray, rewards: np.ndarray) -> Any:
    """A ridge regression of rewards, float [n], on standardized features, float [n, features]; a model of scikit-learn."""
    ridge = linear_model.Ridge(_RIDGE, solver="cholesky")
    return pipeline.make_pipeline(preprocessing.StandardScaler(), ridge).fit(inputs, rewards)


@dataclasses.dataclass(eq=False)
class Prescreened(Strategy):
    """Draws several proposals of another strategy and makes the one of which a linear surrogate expects most.

    The surrogate is fitted to all rewards so far, before a proposal if there were rewards since the last fit. The other strategy learns of
    all rewards, and hears nothing of the proposals that were not made.

    Attributes:
      space: the decisions to take.
      strategy: (space) -> the other strategy.
      seed: of the choice of proposals that are made without the surrogate, in [0, 2^31).
      candidates: proposals to choose one from, 1 or more.
      random_share: fraction of proposals made without asking the surrogate, so that it also learns about architectures it rates low; in
        [0, 1].
      least_rewards: rewards before the surrogate chooses, 1 or more; until then all proposals are made without it.
    """

    space: SearchSpace
    strategy: Callable[[SearchSpace], Strategy]
    seed: Seed
    candidates: Count = 10
    random_share: Part = 0.2
    least_rewards: Count = 20

    def __post_init__(self):
        check_fields(self)
        self._strategy, self._random = self.strategy(self.space), random.Random(self.seed)
        self._decisions: list[tuple[int, ...]] = []
        self._rewards: list[float] = []
        self._surrogate: Any = None  # `fitted` to all rewards; None if there are newer ones
        self._last: list[Proposal] = []

    def propose(self) -> Proposal:
        """The most promising of the candidates; of equals, the first."""
        is_unseen = self._random.random() < self.random_share
        if is_unseen or len(self._rewards) < self.least_rewards:
            self._last = [self._strategy.propose()]
            return self._last[0]
        self._last = [self._strategy.propose() for _ in range(self.candidates)]
        if self._surrogate is None:
            self._surrogate = fitted(self._features(self._decisions), np.array(self._rewards))
        expected = self._surrogate.predict(self._features([proposal.decisions for proposal in self._last]))
        return self._last[int(np.argmax(np.round(expected, _DIGITS)))]

    def _features(self, decisions: Sequence[Sequence[int]]) -> np.ndarray:
        return np.array([features(self.space, each) for each in decisions])

    def would_propose(self, proposal: Proposal) -> bool:
        """Whether it is one of the last candidates: among those that promise nearly the same, another machine may choose another one."""
        return any(is_near(proposal, candidate) for candidate in self._last)

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """The other strategy's."""
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Both the surrogate and the other strategy learn it."""
        check_reward(reward)
        check_decisions("Prescreened", self.space, proposal.decisions)
        self._strategy.feedback(proposal, reward)
        self._decisions.append(tuple(proposal.decisions))
        self._rewards.append(float(reward))
        self._surrogate = None

    def diagnostics(self) -> dict[str, float]:
        """The other strategy's."""
        return self._strategy.diagnostics()

    def state(self) -> bytes:
        """Rewards, and the other strategy's state."""
        arrays = {
            "random": states.of_random(self._random),
            "decisions": np.array(self._decisions, np.int32).reshape(-1, len(self.space.sizes)),
            "rewards": np.array(self._rewards),
            "strategy": np.frombuffer(self._strategy.state(), np.uint8),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        """As of Strategy."""
        arrays = states.unpacked(states.identity_of(self), state)
        self._strategy.restore(arrays["strategy"].tobytes())
        states.set_random(self._random, arrays["random"])
        self._decisions, self._rewards = list(map(tuple, arrays["decisions"].tolist())), arrays["rewards"].tolist()
        self._surrogate, self._last = None, []
