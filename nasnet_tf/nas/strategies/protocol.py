"""Search strategies: two verbs, propose() and feedback(proposal, reward).

A strategy's state is a pure function of its constructor's arguments and of the sequence of calls to the two verbs: no clock, no global
random state. Replaying the calls of a stopped search therefore restores it; so does, in no time, handing what `state` returned to a fresh
strategy of the same arguments. Children run in parallel, so proposals may be answered in any order, or never.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What a strategy wants tried.

    Attributes:
      decisions: for `SearchSpace.decode`.
      log_probs: natural logarithms of the probabilities each decision was drawn with, each the shortest decimal that gives the same
        float32; empty for strategies that know none.
    """

    decisions: tuple[int, ...]
    log_probs: tuple[float, ...] = ()


@runtime_checkable
class Strategy(Protocol):
    """A way of searching."""

    def propose(self) -> Proposal:
        """The next architecture to try."""

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Learns how well a proposal did; raises InputError unless the reward is a finite number."""

    def diagnostics(self) -> dict[str, float]:
        """What is worth logging; finite numbers."""

    def state(self) -> bytes:
        """All that calls have changed; equal states give equal bytes."""

    def restore(self, state: bytes) -> None:
        """Continues, to the bit, where `state` was taken from a strategy of the same class and arguments.

        Raises:
          InputError: the bytes are damaged, or of another strategy; this one is then as it was.
        """


def proposal_of(strategy: Strategy, decisions: Sequence[int]) -> Proposal:
    """An architecture that is tried whatever the strategy thinks, as a proposal that it can learn from.

    Strategies that need more than the decisions have a method of this name for it.
    """
    own = getattr(strategy, "proposal_of", None)
    return Proposal(tuple(decisions)) if own is None else own(decisions)


def would_propose(strategy: Strategy, proposal: Proposal) -> bool:
    """Whether a strategy could have made this proposal the last time on a machine with other arithmetic; False if it does not know."""
    own = getattr(strategy, "would_propose", None)
    return own is not None and own(proposal)


def is_near(one: Proposal, other: Proposal) -> bool:
    """Whether two proposals differ by no more than arithmetic."""
    if one.decisions != other.decisions or len(one.log_probs) != len(other.log_probs):
        return False
    return bool(np.all(np.abs(np.subtract(one.log_probs, other.log_probs)) < _ROUNDING))


# In nats. Rounding of another machine's kind grows with the updates that follow: to 4e-6 in 2,000 trials at the paper's rate, to 3e-4 at
# 0.005 with three passes. Fresh policies of two seeds differ by 0.1.
_ROUNDING = 0.02


def check_reward(reward: float) -> None:
    """Raises InputError unless it is a finite number."""
    if isinstance(reward, bool) or not isinstance(reward, (int, float)) or not math.isfinite(reward):
        raise InputError(f"reward: expected a finite number, got {reward!r}")


def check_decisions(strategy: str, space: SearchSpace, decisions: Sequence[int]) -> None:
    """Raises InputError unless they are of this space."""
    if len(decisions) != len(space.sizes):
        raise InputError(f"feedback to {strategy}: expected {len(space.sizes)} decisions in the proposal, got {len(decisions)}")
    for place, (decision, size) in enumerate(zip(decisions, space.sizes, strict=True)):
        if not 0 <= decision < size:
            raise InputError(f"feedback to {strategy}: expected decision {place} in 0..{size - 1}, got {decision!r}")
