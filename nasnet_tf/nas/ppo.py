"""Proximal policy optimization of the controller (Schulman et al., arXiv 1707.06347; paper appendix A.2).

Every decision is an action a_t and an architecture an episode whose only reward, the child's accuracy, comes at its end, so all decisions
of an architecture share one advantage: reward minus baseline. The paper gives learning rate, entropy weight, baseline decay and minibatch;
it is silent on clipping, on the number of passes over a minibatch, and on whether the ratio is taken per decision or of the joint
probability of all decisions. We take it per decision, as PPO does for the actions of an episode; on the first pass both give the same
direction.
"""

from collections.abc import Sequence

import tensorflow as tf

from nasnet_tf.nas.controller import DEVICE, Controller


def updated_baseline(baseline: float | None, reward: float, decay: float) -> float:
    """The exponential moving average of rewards, now with `reward`; the first reward (baseline None) is its initial value."""
    return reward if baseline is None else decay * baseline + (1 - decay) * reward


def clipped_loss(
    new_log_probs: tf.Tensor, old_log_probs: tf.Tensor, advantages: tf.Tensor, entropy: tf.Tensor, clip: float, entropy_weight: float
) -> tf.Tensor:
    """PPO's equation 9 without a value function, negated: -mean(min(r A, clip(r, 1 - clip, 1 + clip) A) + entropy_weight entropy).

    Args:
      new_log_probs, old_log_probs: float32 [n, num_decisions], of the decisions under the policy of now and under the one that drew
        them; r = exp(new - old).
      advantages: float32 [n].
      entropy: float32 [n, num_decisions], of the policy of now, in nats.
      clip: how far from 1 a ratio still pays.
      entropy_weight: of the entropy bonus.

    Returns:
      float32 scalar, to be minimized.
    """
    ratio = tf.exp(new_log_probs - old_log_probs)
    advantages = advantages[:, tf.newaxis]
    surrogate = tf.minimum(ratio * advantages, tf.clip_by_value(ratio, 1 - clip, 1 + clip) * advantages)
    return -tf.reduce_mean(surrogate + entropy_weight * entropy)


class Updater(tf.Module):
    """Changes a controller by Adam on the clipped loss; holds Adam's state."""

    def __init__(self, controller: Controller, learning_rate: float, clip: float, entropy_weight: float):
        super().__init__()
        self._controller = controller
        self._clip = clip
        self._entropy_weight = entropy_weight
        with tf.device(DEVICE):
            self._adam = tf.keras.optimizers.Adam(learning_rate)
            self._adam.build(controller.trainable_variables)

    def update(
        self,
        decisions: Sequence[Sequence[int]],
        old_log_probs: Sequence[Sequence[float]],
        advantages: Sequence[float],
        epochs: int,
    ) -> dict[str, float]:
        """Takes `epochs` steps, each over the whole minibatch.

        Args:
          decisions: [n, num_decisions].
          old_log_probs: [n, num_decisions], natural logarithms of the probabilities they were drawn with.
          advantages: [n].
          epochs: passes, at least 1.

        Returns:
          Of the last pass, before its step: "loss"; "entropy", of a whole architecture, in nats; "clip_fraction", the share of ratios
          outside the clip range; "kl", an estimate of the divergence from the drawing policy over a whole architecture, in nats.
        """
        with tf.device(DEVICE):
            batch = tf.constant(decisions, tf.int32), tf.constant(old_log_probs, tf.float32), tf.constant(advantages, tf.float32)
            for _ in range(epochs):
                metrics = self._step(*batch)
        return {name: float(value) for name, value in metrics.items()}

    @tf.function(autograph=False)
    def _step(self, decisions, old_log_probs, advantages):
        variables = self._controller.trainable_variables
        with tf.device(DEVICE):
            with tf.GradientTape() as tape:
                new_log_probs, entropy = self._controller.log_probs_and_entropy(decisions)
                loss = clipped_loss(new_log_probs, old_log_probs, advantages, entropy, self._clip, self._entropy_weight)
            self._adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            log_ratio = new_log_probs - old_log_probs
            outside = tf.abs(tf.exp(log_ratio) - 1) > self._clip
            return {
                "loss": loss,
                "entropy": tf.reduce_mean(tf.reduce_sum(entropy, axis=1)),
                "clip_fraction": tf.reduce_mean(tf.cast(outside, tf.float32)),
                "kl": -tf.reduce_mean(tf.reduce_sum(log_ratio, axis=1)),
            }
