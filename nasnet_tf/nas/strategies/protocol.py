"""The interface of search strategies: propose() returns an architecture, and feedback(proposal, reward) reports how well it did.

A strategy that uses more than the reward overrides observe(observation) instead.

The state of a strategy depends only on its constructor's arguments and on the sequence of these calls. It uses no clock and no global
random state. A stopped search can therefore be restored by replaying its calls, or faster by passing the bytes of `state` to `restore` of a
new strategy with the same arguments. Children run in parallel, so proposals may get their feedback in any order, or never.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace


@dataclasses.dataclass(frozen=True)
class Proposal:
    """An architecture that a strategy proposes to train.

    Attributes:
      decisions: the architecture, in the form that `SearchSpace.decode` takes.
      log_probs: natural logarithm of the probability with which each decision was drawn, as the shortest decimal that rounds to the same
        float32. Empty for strategies without probabilities.
    """

    decisions: tuple[int, ...]
    log_probs: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observation:
    """The result of one training of an architecture.

    Attributes:
      proposal: the architecture.
      reward: a finite number.
      metrics: further metrics that the evaluator reported, such as "parameters" and "mult_adds".
      rung: the rung of successive halving: 0 for the architecture's first training, higher for longer trainings of the same architecture.
      is_predicted: whether the child was stopped early; the reward is then a prediction of its final reward.
    """

    proposal: Proposal
    reward: float
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rung: int = 0
    is_predicted: bool = False


class Strategy(metaclass=abc.ABCMeta):
    """Base class of search strategies.

    A new strategy defines the four abstract methods and overrides the others where it needs to. `nasnet_tf.nas.strategies.states` helps to
    write `state` and `restore`.
    """

    @abc.abstractmethod
    def propose(self) -> Proposal:
        """Returns the next architecture to try."""

    @abc.abstractmethod
    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Learns the reward of a proposal.

        Raises:
          InputError: the reward is not a finite number.
        """

    def observe(self, observation: Observation) -> None:
        """Learns the result of one training, with its metrics.

        The search calls this method. The default implementation passes the reward of an architecture's first training to `feedback` and
        ignores longer trainings. Override it to use the metrics or the rewards of longer trainings.
        """
        if not observation.rung:
            self.feedback(observation.proposal, observation.reward)

    def reject(self, proposal: Proposal) -> None:  # noqa: B027 - most strategies learn from rewards alone
        """Learns that an architecture is infeasible: it gets no reward, unless another machine can train it later."""

    def replace(self, own: Proposal, recorded: Proposal) -> None:  # noqa: B027 - most strategies do not remember what they proposed
        """Learns that `recorded` was trained instead of `own`, which the last call of `propose` returned.

        This happens if a search is resumed on a machine that rounds differently, or with another version of the package.
        """

    def prime(self, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """Learns the rewards that architectures got on other data. Called before any other method, once for each search.

        Args:
          decisions: the architectures.
          rewards: the reward of each architecture, in the same order.

        Raises:
          InputError: this strategy cannot use rewards from other data.
        """
        raise InputError(f"search.prior: expected a strategy that learns from other data, such as @ModelGuided; got {type(self).__name__}")

    def restrict(self, is_allowed: Callable[[Sequence[int]], bool]) -> None:  # noqa: B027 - most strategies do not need this
        """Tells the strategy which architectures are allowed. Called before the first proposal.

        The search rejects a proposal that is not allowed and calls `propose` again. A strategy that selects among candidates can use this
        to skip the ones that are not allowed.

        Args:
          is_allowed: returns whether an architecture with these decisions is allowed.
        """

    def expected_gain(self, trainings: int) -> float | None:
        """Returns the expected rise of the best accuracy, in [0, 1], after `trainings` more trainings; None if it is unknown."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """Returns finite numbers to log. If they include "updates", the search writes a log line for each update."""
        return {}

    @abc.abstractmethod
    def state(self) -> bytes:
        """Returns everything that calls have changed, as bytes; equal states give equal bytes."""

    @abc.abstractmethod
    def restore(self, state: bytes) -> None:
        """Restores, bit for bit, the state of a strategy with the same class and arguments.

        Args:
          state: bytes that `state` returned.

        Raises:
          InputError: the bytes are damaged, or belong to a different strategy. This strategy is then unchanged.
        """

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """Turns an architecture that the strategy did not choose into a proposal that `feedback` accepts.

        A strategy that learns from probabilities adds those with which it would have drawn these decisions.
        """
        return Proposal(tuple(decisions))

    def would_propose(self, proposal: Proposal) -> bool:
        """Returns whether the last call of `propose` could have returned this proposal on a machine that rounds differently.

        Only strategies whose proposals depend on floating-point rounding override this.
        """
        return False


def is_near(one: Proposal, other: Proposal) -> bool:
    """Returns whether two proposals have the same decisions and log-probabilities that are equal up to rounding."""
    if one.decisions != other.decisions or len(one.log_probs) != len(other.log_probs):
        return False
    return bool(np.all(np.abs(np.subtract(one.log_probs, other.log_probs)) < MAX_ROUNDING))


# In nats. Differences in rounding between machines grow with each update: to 4e-6 after 2,000 trials at the paper's learning rate, to 3e-4
# at a rate of 0.005 with three passes. For comparison, untrained policies of two seeds differ by 0.1.
MAX_ROUNDING = 0.02


def check_reward(reward: float) -> None:
    """Raises InputError unless `reward` is a finite number."""
    if isinstance(reward, bool) or not isinstance(reward, (int, float)) or not math.isfinite(reward):
        raise InputError(f"reward: expected a finite number, got {reward!r}")


def check_decisions(strategy: str, space: SearchSpace, decisions: Sequence[int]) -> None:
    """Raises InputError unless `decisions` is an architecture of `space`; `strategy` is the name used in the message."""
    if len(decisions) != len(space.sizes):
        raise InputError(f"feedback to {strategy}: expected {len(space.sizes)} decisions in the proposal, got {len(decisions)}")
    for place, (decision, size) in enumerate(zip(decisions, space.sizes, strict=True)):
        if not 0 <= decision < size:
            raise InputError(f"feedback to {strategy}: expected decision {place} in 0..{size - 1}, got {decision!r}")
