"""A strategy that filters the proposals of another one with a surrogate model of the rewards, so that only promising ones are trained."""

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

# Weight of the L2 penalty; the loss is a sum over trials. In five-fold cross-validation on the 170 trials of testdata/cifar10_search, 10
# explains 32% of the variance of unseen trials, 1 explains 30%, and 30 to 100 explain 35%.
_RIDGE = 10.0
_DIGITS = 6  # predictions are rounded to this many decimals before they are compared, because later digits differ between machines


def features(space: SearchSpace, decisions: Sequence[int]) -> list[float]:
    """Returns, for each searched cell, the count of each operation and combine, the depth, and the number of unused states."""
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
    """Fits a scikit-learn ridge regression of rewards, float [n], on standardized features, float [n, features]."""
    ridge = linear_model.Ridge(_RIDGE, solver="cholesky")
    return pipeline.make_pipeline(preprocessing.StandardScaler(), ridge).fit(inputs, rewards)


@dataclasses.dataclass(eq=False)
class Prescreened(Strategy):
    """Draws several candidates from another strategy and proposes the one for which a linear surrogate predicts the highest reward.

    The surrogate is fitted to all rewards so far. It is fitted again before a proposal if new rewards have arrived. The other strategy
    learns every reward, but is not told about the candidates that were dropped.

    Attributes:
      space: the search space.
      strategy: the other strategy, as a function of the space.
      seed: seed of the draw that decides which proposals are made without the surrogate, in [0, 2^31).
      candidates: number of candidates per proposal, 1 or more.
      random_share: fraction of proposals made without asking the surrogate, so that it also learns about architectures it rates low; in
        [0, 1].
      least_rewards: number of rewards after which the surrogate is first used, 1 or more.
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
        self._surrogate: Any = None  # fitted to all rewards; None if it has to be fitted again
        self._last: list[Proposal] = []

    def propose(self) -> Proposal:
        """Proposes the candidate with the highest predicted reward, the first one in a tie."""
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
        """Returns whether `proposal` is one of the last candidates.

        Another machine may round differently and select another one of several candidates with nearly equal predictions.
        """
        return any(is_near(proposal, candidate) for candidate in self._last)

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """Returns the proposal that the other strategy makes of these decisions."""
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Passes the reward to both the surrogate and the other strategy."""
        check_reward(reward)
        check_decisions("Prescreened", self.space, proposal.decisions)
        self._strategy.feedback(proposal, reward)
        self._decisions.append(tuple(proposal.decisions))
        self._rewards.append(float(reward))
        self._surrogate = None

    def diagnostics(self) -> dict[str, float]:
        """Returns the diagnostics of the other strategy."""
        return self._strategy.diagnostics()

    def state(self) -> bytes:
        """Returns the rewards, the state of the random generator and the state of the other strategy, as bytes."""
        arrays = {
            "random": states.of_random(self._random),
            "decisions": np.array(self._decisions, np.int32).reshape(-1, len(self.space.sizes)),
            "rewards": np.array(self._rewards),
            "strategy": np.frombuffer(self._strategy.state(), np.uint8),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        """Restores what `state` returned; see `Strategy.restore`."""
        arrays = states.unpacked(states.identity_of(self), state)
        self._strategy.restore(arrays["strategy"].tobytes())
        states.set_random(self._random, arrays["random"])
        self._decisions, self._rewards = list(map(tuple, arrays["decisions"].tolist())), arrays["rewards"].tolist()
        self._surrogate, self._last = None, []
