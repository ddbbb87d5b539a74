"""Proximal policy optimization of the controller (Schulman et al., arXiv 1707.06347; paper appendix A.2).

Each decision is an action, and each architecture is an episode. The only reward of an episode is the child's accuracy at its end, so all
decisions of an architecture share one advantage: reward minus baseline.

The paper gives the learning rate, the entropy weight, the baseline decay and the minibatch. It does not state the clipping, the number of
passes over a minibatch, or whether the probability ratio is per decision or of the joint probability of all decisions. We take the ratio
per decision, as PPO does for the actions of an episode, and sum over the decisions. As long as all ratios are 1, this gives the gradient of
the paper's joint probability, whose logarithm is a sum over decisions. A mean would give the same direction but a 50 times smaller
gradient, which could vanish beside Adam's epsilon.
"""

import numpy as np
import tensorflow as tf

from nasnet_tf.nas.strategies.policy import DEVICE, Controller

# Adam's constants, as in TF1's AdamOptimizer, which the authors had: epsilon is added to the root of the second moment before bias
# correction ("epsilon hat" of Kingma & Ba, section 2).
# Deviation: TF1's default epsilon is 1e-8. With advantages near 0.01 it would shrink the first steps of the LSTM's kernel by more than
# half.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-12
METRICS = ("loss", "entropy", "clip_fraction", "kl")


def updated_baseline(baseline: float | None, reward: float, decay: float) -> float:
    """Returns the exponential moving average of rewards after `reward`; the first reward (baseline None) becomes its initial value."""
    return reward if baseline is None else decay * baseline + (1 - decay) * reward


def clipped_loss(
    new_log_probs: tf.Tensor, old_log_probs: tf.Tensor, advantages: tf.Tensor, entropy: tf.Tensor, clip: float, entropy_weight: float
) -> tf.Tensor:
    """Returns PPO's clipped loss: the negative of equation 9 of the PPO paper, without a value function.

    For one decision with probability ratio r and advantage A it is -(min(r A, clip(r, 1 - clip, 1 + clip) A) + entropy_weight * entropy).

    Args:
      new_log_probs: float32 [n, num_decisions], log-probabilities of the decisions under the current policy.
      old_log_probs: float32 [n, num_decisions], log-probabilities under the policy that drew them; r = exp(new - old).
      advantages: float32 [n].
      entropy: float32 [n, num_decisions], entropy of the current policy, in nats.
      clip: how far the ratio may move from 1 before it is clipped.
      entropy_weight: weight of the entropy bonus.

    Returns:
      float32 scalar to minimize: the sum over the decisions of an architecture, averaged over the architectures.
    """
    ratio = tf.exp(new_log_probs - old_log_probs)
    advantages = advantages[:, tf.newaxis]
    surrogate = tf.minimum(ratio * advantages, tf.clip_by_value(ratio, 1 - clip, 1 + clip) * advantages)
    return -tf.reduce_mean(tf.reduce_sum(surrogate + entropy_weight * entropy, axis=1))


class Updater(tf.Module):
    """Updates a controller with Adam steps on the clipped loss; holds Adam's state."""

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
          decisions: int [n, num_decisions].
          old_log_probs: float [n, num_decisions], natural logarithms of the probabilities with which the decisions were drawn.
          advantages: float [n].
          epochs: number of steps, at least 1.

        Returns:
          Metrics of the last pass, computed before its step: "loss"; "entropy", that of a whole architecture, in nats; "clip_fraction", the
          fraction of ratios outside the clip range; and "kl", an estimate of the divergence from the policy that drew the decisions, for a
          whole architecture, in nats, 0 or more.
        """
        with tf.device(DEVICE):
            batch = tf.constant(decisions, tf.int32), tf.constant(old_log_probs, tf.float32), tf.constant(advantages, tf.float32)
            for _ in range(epochs):
                self._steps += 1
                metrics = self._step(*batch, tf.constant([BETA_1**self._steps, BETA_2**self._steps], tf.float32))
        return dict(zip(METRICS, metrics.numpy().tolist(), strict=True))

    def state(self) -> dict[str, np.ndarray]:
        """Returns everything that updates change: the controller's weights, Adam's moments and its number of steps."""
        return {"adam_steps": np.array(self._steps), **{name: variable.numpy() for name, variable in self._variables().items()}}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state` returned; ignores entries with other names."""
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
                # E[r - 1 - log r] is an unbiased estimate of the divergence, because r - 1 is 0 on average. It is never negative, and its
                # variance stays low even for samples drawn several updates ago.
                tf.reduce_mean(tf.reduce_sum(ratio - 1 - log_ratio, axis=1)),
            ]
            gradients = tape.gradient(loss, variables)
            for variable, mean, square, gradient in zip(variables, self._means, self._squares, gradients, strict=True):
                # One fused operation per variable; Keras' Adam needs about a dozen.
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
