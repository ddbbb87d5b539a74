"""Proximal policy optimization of the controller (Schulman et al., arXiv 1707.06347; paper appendix A.2).

Every decision is an action a_t and an architecture an episode whose only reward, the child's accuracy, comes at its end, so all decisions
of an architecture share one advantage: reward minus baseline. The paper gives learning rate, entropy weight, baseline decay and minibatch;
it is silent on clipping, on the number of passes over a minibatch, and on whether the ratio is taken per decision or of the joint
probability of all decisions. We take it per decision, as PPO does for the actions of an episode, and add up over the decisions. Where all
ratios are 1, the gradient is therefore that of the paper's joint probability, whose logarithm is a sum over decisions; a mean over them
would have the same direction, but be 50 times smaller: small enough to vanish beside Adam's epsilon.
"""

import numpy as np
import tensorflow as tf

from nasnet_tf.nas.strategies.policy import DEVICE, Controller

# Of Adam, in the form of TF1's AdamOptimizer, which the authors had: the epsilon stands beside the raw root of the second moment ("epsilon
# hat" of Kingma & Ba, section 2).
# Deviation: TF1's default is 1e-8. With advantages near 0.01 that would leave the LSTM's kernel less than half of its first steps.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-12
METRICS = ("loss", "entropy", "clip_fraction", "kl")


def updated_baseline(baseline: float | None, reward: float, decay: float) -> float:
    """The exponential moving average of rewards, now with `reward`; the first reward (baseline None) is its initial value."""
    return reward if baseline is None else decay * baseline + (1 - decay) * reward


def clipped_loss(
    new_log_probs: tf.Tensor, old_log_probs: tf.Tensor, advantages: tf.Tensor, entropy: tf.Tensor, clip: float, entropy_weight: float
) -> tf.Tensor:
    """PPO's equation 9 without a value function, negated: -(min(r A, clip(r, 1 - clip, 1 + clip) A) + entropy_weight entropy).

    Args:
      new_log_probs, old_log_probs: float32 [n, num_decisions], of the decisions under the policy of now and under the one that drew
        them; r = exp(new - old).
      advantages: float32 [n].
      entropy: float32 [n, num_decisions], of the policy of now, in nats.
      clip: how far from 1 a ratio still pays.
      entropy_weight: of the entropy bonus.

    Returns:
      float32 scalar, to be minimized: the mean over architectures of the sum over their decisions.
    """
    ratio = tf.exp(new_log_probs - old_log_probs)
    advantages = advantages[:, tf.newaxis]
    surrogate = tf.minimum(ratio * advantages, tf.clip_by_value(ratio, 1 - clip, 1 + clip) * advantages)
    return -tf.reduce_mean(tf.reduce_sum(surrogate + entropy_weight * entropy, axis=1))


class Updater(tf.Module):
    """Changes a controller by Adam on the clipped loss; holds Adam's state."""

    def __init__(self, controller: Controller, learning_rate: float, clip: float, entropy_weight: float):
        super().__init__()
        self._controller = controller
        self._learning_rate = learning_rate
        self._clip = clip
        self._entropy_weight = entropy_weight
        self._steps = 0
        with tf.device(DEVICE):
            self._means, self._squares = (
                [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in controller.trainable_variables] for _ in range(2)
            )

    def update(self, decisions: np.ndarray, old_log_probs: np.ndarray, advantages: np.ndarray, epochs: int) -> dict[str, float]:
        """Takes `epochs` steps, each over the whole minibatch.

        Args:
          decisions: [n, num_decisions].
          old_log_probs: [n, num_decisions], natural logarithms of the probabilities they were drawn with.
          advantages: [n].
          epochs: passes, at least 1.

        Returns:
          Of the last pass, before its step: "loss"; "entropy", of a whole architecture, in nats; "clip_fraction", the share of ratios
          outside the clip range; "kl", an estimate of the divergence from the drawing policy over a whole architecture, in nats, at
          least 0.
        """
        with tf.device(DEVICE):
            batch = tf.constant(decisions, tf.int32), tf.constant(old_log_probs, tf.float32), tf.constant(advantages, tf.float32)
            for _ in range(epochs):
                self._steps += 1
                metrics = self._step(*batch, tf.constant([BETA_1**self._steps, BETA_2**self._steps], tf.float32))
        return dict(zip(METRICS, metrics.numpy().tolist(), strict=True))

    def state(self) -> dict[str, np.ndarray]:
        """All that updates change: the controller's weights and Adam's moments and steps."""
        return {"adam_steps": np.array(self._steps), **{name: variable.numpy() for name, variable in self._variables().items()}}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes over what `state` returned; other entries are ignored."""
        self._steps = state["adam_steps"].item()
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, tf.Variable]:
        kinds = {"weight": self._controller.trainable_variables, "mean": self._means, "square": self._squares}
        return {f"{kind}_{index}": variable for kind, variables in kinds.items() for index, variable in enumerate(variables)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None]),
            tf.TensorSpec([None]),
            tf.TensorSpec([2]),
        ],
        autograph=False,
    )
    def _step(self, decisions, old_log_probs, advantages, beta_powers):
        variables = self._controller.trainable_variables
        with tf.device(DEVICE):
            with tf.GradientTape() as tape:
                new_log_probs, entropy = self._controller.log_probs_and_entropy(decisions)
                loss = clipped_loss(new_log_probs, old_log_probs, advantages, entropy, self._clip, self._entropy_weight)
            log_ratio = new_log_probs - old_log_probs
            ratio = tf.exp(log_ratio)
            metrics = [
                loss,
                tf.reduce_mean(tf.reduce_sum(entropy, axis=1)),
                tf.reduce_mean(tf.cast(tf.abs(ratio - 1) > self._clip, tf.float32)),
                # Of the unbiased estimates the one that is never negative, and calm although the samples are some updates old:
                # E[r - 1 - log r], r - 1 being 0 on average.
                tf.reduce_mean(tf.reduce_sum(ratio - 1 - log_ratio, axis=1)),
            ]
            gradients = tape.gradient(loss, variables)
            for variable, mean, square, gradient in zip(variables, self._means, self._squares, gradients, strict=True):
                # One operation for each variable, where Keras' Adam has a dozen.
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle,
                    m=mean.handle,
                    v=square.handle,
                    beta1_power=beta_powers[0],
                    beta2_power=beta_powers[1],
                    lr=self._learning_rate,
                    beta1=BETA_1,
                    beta2=BETA_2,
                    epsilon=EPSILON,
                    grad=gradient,
                )
            return tf.stack(metrics)
