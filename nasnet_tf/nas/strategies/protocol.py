"""Search strategies: two verbs, propose() and feedback(proposal, reward), or observe(observation) for those that want to know more.

A strategy's state is a pure function of its constructor's arguments and of the sequence of calls to the two verbs: no clock, no global
random state. Replaying the calls of a stopped search therefore restores it. Handing what `state` returned to a fresh strategy of the same
arguments does the same at once. Children run in parallel, so proposals may be answered in any order, or never.
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
    """What a strategy wants tried.

    Attributes:
      decisions: for `SearchSpace.decode`.
      log_probs: natural logarithms of the probabilities each decision was drawn with, each the shortest decimal that gives the same
        float32; empty for strategies that know none.
    """

    decisions: tuple[int, ...]
    log_probs: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observation:
    """What is known when a training of an architecture has ended.

    Attributes:
      proposal: the architecture.
      reward: a finite number.
      metrics: what the evaluator reported besides: "parameters", "mult_adds", ...
      rung: of successive halving; 0 is the first training of an architecture, larger ones are longer trainings of the same.
      is_predicted: the child was stopped early, and the reward is what it is expected to have had in the end.
    """

    proposal: Proposal
    reward: float
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rung: int = 0
    is_predicted: bool = False


class Strategy(metaclass=abc.ABCMeta):
    """A way of searching. A new one inherits from this class, defines the four abstract methods, and overrides others where it needs them.

    nasnet_tf.nas.strategies.states helps with `state` and `restore`.
    """

    @abc.abstractmethod
    def propose(self) -> Proposal:
        """Returns the next architecture to try."""

    @abc.abstractmethod
    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Learns how well a proposal did; raises InputError unless the reward is a finite number."""

    def observe(self, observation: Observation) -> None:
        """Learns all that is known of a result. By default `feedback` gets its reward, that of the first training alone.

        The search calls this method; a strategy overrides it to use metrics, or rewards of longer trainings.
        """
        if not observation.rung:
            self.feedback(observation.proposal, observation.reward)

    def prime(self, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """Learns, before anything else, what architectures were worth on other data; InputError unless the strategy can use that."""
        raise InputError(f"search.prior: expected a strategy that learns from other data, such as @ModelGuided; got {type(self).__name__}")

    def restrict(self, is_allowed: Callable[[Sequence[int]], bool]) -> None:  # noqa: B027 - most need not know
        """Is told, before the first proposal, which decisions are allowed.

        Proposals that are not are refused, and `propose` is called again. A strategy that chooses among candidates can leave them out.
        """

    def expected_gain(self, trainings: int) -> float | None:
        """Returns how much the best accuracy is expected to rise by so many more trainings, in [0, 1]; None if that is not known."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """Returns what is worth logging: finite numbers. A strategy that counts its "updates" gets a log of them."""
        return {}

    @abc.abstractmethod
    def state(self) -> bytes:
        """Returns all that calls have changed; equal states give equal bytes."""

    @abc.abstractmethod
    def restore(self, state: bytes) -> None:
        """Continues, to the bit, where `state` was taken from a strategy of the same class and arguments.

        Raises:
          InputError: the bytes are damaged, or of another strategy; this one is then as it was.
        """

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """Returns an architecture that is tried whatever the strategy thinks, as a proposal that `feedback` takes.

        A strategy that learns from the probabilities of decisions gives the probabilities it would have drawn these with.
        """
        return Proposal(tuple(decisions))

    def would_propose(self, proposal: Proposal) -> bool:
        """Whether the last call of `propose` could have returned this proposal on a machine with other arithmetic.

        Only a strategy whose proposals depend on rounding needs to know.
        """
        return False


def is_near(one: Proposal, other: Proposal) -> bool:
    """Whether two proposals differ by no more than arithmetic."""
    if one.decisions != other.decisions or len(one.log_probs) != len(other.log_probs):
        return False
    return bool(np.all(np.abs(np.subtract(one.log_probs, other.log_probs)) < MAX_ROUNDING))


# In nats. Rounding of another machine's kind grows with the updates that follow: to 4e-6 in 2,000 trials at the paper's rate, to 3e-4 at
# 0.005 with three passes. Fresh policies of two seeds differ by 0.1.
MAX_ROUNDING = 0.02


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
