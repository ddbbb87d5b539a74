"""The search of the paper: a policy trained by proximal policy optimization (section 3, appendix A.2)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, NotNegative, Positive, Seed, Share, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import states
from nasnet_tf.nas.strategies.protocol import MAX_ROUNDING, Proposal, Strategy, check_decisions, check_reward


@dataclasses.dataclass(eq=False)
class PPOSearch(Strategy):
    """The paper's search: an LSTM policy trained by proximal policy optimization (section 3, appendix A.2).

    The defaults are the paper's, except `learning_rate`, `clip` and `epochs`. The paper does not state `clip` and `epochs`. The clip is
    that of the PPO paper (its section 6.1), which makes 3 to 15 passes over a minibatch. With the paper's learning rate of 0.00035 and one
    pass, the policy learned nothing in the first 2,000 trainings; docs/differences.md has the evidence for the defaults. Each further pass
    adds about 60% to the controller's time.

    Attributes:
      space: the search space to draw from.
      seed: seed of the initial weights and of all random draws, in [0, 2^31).
      minibatch: number of rewards for one update of the policy, 1 or more. Rewards are used in the order in which they arrive.
      learning_rate: Adam's learning rate, positive.
      entropy_weight: weight of the entropy bonus, which keeps the policy exploring; 0 or more.
      baseline_decay: decay of the moving average of rewards that serves as the baseline, in [0, 1).
      clip: how far PPO's probability ratio may move from 1 before it is clipped, positive.
      epochs: passes over each minibatch, with one Adam step each; 1 or more.
      hidden_units: number of units of the LSTM, 1 or more.
    """

    space: SearchSpace
    seed: Seed
    minibatch: Count = 20
    learning_rate: Positive = 0.001
    entropy_weight: NotNegative = 1e-5
    baseline_decay: Share = 0.95
    clip: Positive = 0.2
    epochs: Count = 10
    hidden_units: Count = 100

    def __post_init__(self):
        check_fields(self)
        from nasnet_tf.nas.strategies import policy, ppo  # imported here because they need TensorFlow, which other strategies do not

        self._controller = policy.Controller(self.space.sizes, self.seed, self.hidden_units)
        self._updater = ppo.Updater(self._controller, self.learning_rate, self.clip, self.entropy_weight)
        self._updated_baseline = ppo.updated_baseline
        self._baseline: float | None = None
        self._batches_drawn = 0
        self._drawn: list[Proposal] = []  # proposals drawn ahead from the current policy, the next one last
        self._answered: list[tuple[Proposal, float]] = []  # proposals with their advantages, collected until they fill a minibatch
        self._updates = 0
        self._last_update: dict[str, float] = {}

    def propose(self) -> Proposal:
        if not self._drawn:
            decisions, log_probs = self._controller.sample((self.seed, self._batches_drawn), self.minibatch)
            self._batches_drawn += 1
            self._drawn = _proposals(decisions.numpy(), shortest_decimals(log_probs.numpy()))[::-1]
        return self._drawn.pop()

    def would_propose(self, proposal: Proposal) -> bool:
        """Returns whether a policy that differs from this one only by rounding could draw `proposal` with the same random numbers."""
        if len(proposal.decisions) != len(self.space.sizes) or len(proposal.log_probs) != len(proposal.decisions):
            return False
        place = self.minibatch - len(self._drawn) - 1
        seed = (self.seed, self._batches_drawn - 1)
        log_probs, shortfall = (values.numpy() for values in self._controller.redraw(seed, self.minibatch, place, proposal.decisions))
        apart = np.abs(log_probs - np.array(proposal.log_probs))
        return bool(np.all(apart < MAX_ROUNDING) and np.all(shortfall < MAX_ROUNDING))

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """Returns the decisions together with the log-probabilities that the current policy gives them."""
        log_probs, _ = self._controller.log_probs_and_entropy(np.array([decisions], np.int32))
        return Proposal(tuple(decisions), tuple(shortest_decimals(log_probs.numpy())[0].tolist()))

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Records a reward and updates the policy after every `minibatch` rewards.

        The advantage is the reward minus the baseline, computed before this reward changes the baseline. The first reward initializes the
        baseline, so its advantage is zero.
        """
        check_reward(reward)
        check_decisions("PPOSearch", self.space, proposal.decisions)
        if len(proposal.log_probs) != len(self.space.sizes):
            raise InputError(
                f"feedback to PPOSearch: expected {len(self.space.sizes)} log_probs in the proposal, got {len(proposal.log_probs)}"
            )
        advantage = 0.0 if self._baseline is None else reward - self._baseline
        self._baseline = self._updated_baseline(self._baseline, reward, self.baseline_decay)
        self._answered.append((proposal, advantage))
        if len(self._answered) == self.minibatch:
            proposals, advantages = zip(*self._answered, strict=True)
            self._last_update = self._updater.update(*_arrays(proposals), np.array(advantages), self.epochs)
            self._updates += 1
            self._answered = []
            self._drawn = []  # these proposals were drawn from the policy before this update

    def diagnostics(self) -> dict[str, float]:
        """Returns the number of updates and, once they exist, the baseline and the metrics of the last `ppo.Updater.update`."""
        known = {} if self._baseline is None else {"baseline": self._baseline}
        return {"updates": float(self._updates), **known, **self._last_update}

    def state(self) -> bytes:
        answered = [proposal for proposal, _ in self._answered]
        drawn_decisions, drawn_log_probs = _arrays(self._drawn)
        answered_decisions, answered_log_probs = _arrays(answered)
        arrays = {
            **self._updater.state(),
            "baseline": np.array([] if self._baseline is None else [self._baseline]),
            "batches_drawn": np.array(self._batches_drawn),
            "updates": np.array(self._updates),
            "drawn_decisions": drawn_decisions,
            "drawn_log_probs": drawn_log_probs,
            "answered_decisions": answered_decisions,
            "answered_log_probs": answered_log_probs,
            "answered_advantages": np.array([advantage for _, advantage in self._answered]),
            "diagnostics_names": np.array(list(self._last_update), np.str_),
            "diagnostics": np.array(list(self._last_update.values())),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        arrays = states.unpacked(states.identity_of(self), state)
        self._updater.restore(arrays)
        self._baseline = arrays["baseline"].item() if arrays["baseline"].size else None
        self._batches_drawn = arrays["batches_drawn"].item()
        self._updates = arrays["updates"].item()
        self._drawn = _proposals(arrays["drawn_decisions"], arrays["drawn_log_probs"])
        answered = _proposals(arrays["answered_decisions"], arrays["answered_log_probs"])
        self._answered = list(zip(answered, arrays["answered_advantages"].tolist(), strict=True))
        self._last_update = dict(zip(arrays["diagnostics_names"].tolist(), arrays["diagnostics"].tolist(), strict=True))


_POWERS_OF_TEN = np.array([10.0**exponent for exponent in range(23)])  # the powers that a float64 represents exactly


def shortest_decimals(values: np.ndarray) -> np.ndarray:
    """Returns float(str(value)) for each value, as float64, thirty times faster than these calls.

    Args:
      values: float32, zero or of a magnitude in [1e-12, 1e6].
    """
    exact = values.astype(np.float64)
    exponents = np.floor(np.log10(np.abs(exact), where=exact != 0, out=np.zeros_like(exact))).astype(int)
    shortest = exact
    for digits in (9, 8, 7, 6):  # 9 digits distinguish any two float32, and any decimal of 6 digits survives the round trip to float32
        scale = _POWERS_OF_TEN[np.clip(digits - 1 - exponents, 0, 22)]
        rounded = np.rint(exact * scale) / scale
        shortest = np.where(rounded.astype(np.float32) == values, rounded, shortest)
    return shortest


def _arrays(proposals: Sequence[Proposal]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the decisions (int32) and the log_probs (float64) of proposals, both [len(proposals), num_decisions]."""
    return np.array([proposal.decisions for proposal in proposals], np.int32), np.array([proposal.log_probs for proposal in proposals])


def _proposals(decisions: np.ndarray, log_probs: np.ndarray) -> list[Proposal]:
    return [Proposal(tuple(row), tuple(numbers)) for row, numbers in zip(decisions.tolist(), log_probs.tolist(), strict=True)]
