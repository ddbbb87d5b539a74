"""Search strategies: two verbs, propose() and feedback(proposal, reward).

A strategy's state is a pure function of its constructor's arguments and of the sequence of calls to the two verbs: no clock, no global
random state. Replaying the calls of a stopped search therefore restores it. Children run in parallel, so proposals may be answered in any
order, or never.
"""

import dataclasses
import math
import random
from typing import Protocol

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import SearchSpace


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What a strategy wants tried.

    Attributes:
      decisions: for `SearchSpace.decode`.
      log_probs: natural logarithms of the probabilities each decision was drawn with; empty for random search.
    """

    decisions: tuple[int, ...]
    log_probs: tuple[float, ...] = ()


class Strategy(Protocol):
    """A way of searching."""

    def propose(self) -> Proposal:
        """The next architecture to try."""

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Learns how well a proposal did; raises InputError unless the reward is a finite number."""

    def diagnostics(self) -> dict[str, float]:
        """What is worth logging; finite numbers."""


class RandomSearch:
    """All decisions uniform and independent: the paper's random search (section 4.4)."""

    def __init__(self, space: SearchSpace, seed: int):
        self._space = space
        self._random = random.Random(seed)

    def propose(self) -> Proposal:
        return Proposal(self._space.sample(self._random))

    def feedback(self, proposal: Proposal, reward: float) -> None:
        _check_reward(reward)

    def diagnostics(self) -> dict[str, float]:
        return {}


class PPOSearch:
    """The paper's search: an LSTM policy trained by proximal policy optimization (section 3.1, appendix A.2)."""

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        minibatch: int = 20,
        learning_rate: float = 0.00035,
        entropy_weight: float = 1e-5,
        baseline_decay: float = 0.95,
        clip: float = 0.2,
        epochs: int = 3,
        hidden_units: int = 100,
    ):
        """Starts from a fresh policy.

        The defaults are the paper's, but for `clip` and `epochs`, on which it is silent: those are the PPO paper's (0.2 in its section 6.1,
        3 passes in its Atari runs).

        Args:
          space: the decisions to take.
          seed: of initial weights and of all draws, in [0, 2^31).
          minibatch: rewards that make one update; taken in the order they arrive.
          learning_rate: of Adam.
          entropy_weight: of the bonus for a policy that keeps exploring.
          baseline_decay: of the moving average of rewards, in [0, 1).
          clip: range of PPO's probability ratio around 1.
          epochs: Adam steps on each minibatch.
          hidden_units: of the LSTM.
        """
        for name, number in (("minibatch", minibatch), ("epochs", epochs), ("hidden_units", hidden_units)):
            if not (isinstance(number, int) and number >= 1):
                raise InputError(f"PPOSearch {name}: expected an integer of 1 or more, got {number!r}")
        if not 0 <= baseline_decay < 1:
            raise InputError(f"PPOSearch baseline_decay: expected a number in [0, 1), got {baseline_decay!r}")
        if not (isinstance(seed, int) and 0 <= seed < 2**31):
            raise InputError(f"PPOSearch seed: expected an integer in [0, 2^31), got {seed!r}")
        from nasnet_tf.nas import controller, ppo  # here, because they import TensorFlow and random search does without

        self._space = space
        self._seed = seed
        self._minibatch = minibatch
        self._baseline_decay = baseline_decay
        self._epochs = epochs
        self._controller = controller.Controller(space.sizes, seed, hidden_units)
        self._updater = ppo.Updater(self._controller, learning_rate, clip, entropy_weight)
        self._updated_baseline = ppo.updated_baseline
        self._baseline: float | None = None
        self._batches_drawn = 0
        self._drawn: list[Proposal] = []  # drawn ahead with the policy of now, in reverse
        self._answered: list[tuple[Proposal, float]] = []  # with their advantages, until they make a minibatch
        self._updates = 0
        self._last_update: dict[str, float] = {}

    def propose(self) -> Proposal:
        if not self._drawn:
            batch = self._controller.sample((self._seed, self._batches_drawn), self._minibatch)
            self._batches_drawn += 1
            rows = zip(*(tensor.numpy().tolist() for tensor in batch), strict=True)
            self._drawn = [Proposal(tuple(decisions), tuple(log_probs)) for decisions, log_probs in rows][::-1]
        return self._drawn.pop()

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Learns a reward; every `minibatch` of them change the policy.

        The advantage is taken from the baseline before this reward enters it. The first reward of all initializes the baseline, so its
        advantage is zero.
        """
        _check_reward(reward)
        for what, values in (("decisions", proposal.decisions), ("log_probs", proposal.log_probs)):
            if len(values) != len(self._space.sizes):
                raise InputError(f"feedback to PPOSearch: expected {len(self._space.sizes)} {what} in the proposal, got {len(values)}")
        advantage = 0.0 if self._baseline is None else reward - self._baseline
        self._baseline = self._updated_baseline(self._baseline, reward, self._baseline_decay)
        self._answered.append((proposal, advantage))
        if len(self._answered) == self._minibatch:
            proposals, advantages = zip(*self._answered, strict=True)
            self._last_update = self._updater.update(
                [proposal.decisions for proposal in proposals], [proposal.log_probs for proposal in proposals], advantages, self._epochs
            )
            self._updates += 1
            self._answered = []
            self._drawn = []  # what was drawn ahead came from the policy that just changed

    def diagnostics(self) -> dict[str, float]:
        """Number of updates; once known, the baseline and what `ppo.Updater.update` returned last."""
        known = {} if self._baseline is None else {"baseline": self._baseline}
        return {"updates": float(self._updates), **known, **self._last_update}


def _check_reward(reward: float) -> None:
    if isinstance(reward, bool) or not isinstance(reward, (int, float)) or not math.isfinite(reward):
        raise InputError(f"reward: expected a finite number, got {reward!r}")
