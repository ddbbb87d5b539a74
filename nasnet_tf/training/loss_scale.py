"""Dynamic loss scaling: small gradients would be 0 in float16 (Micikevicius et al., Mixed Precision Training, section 3.2)."""

import tensorflow as tf

_INITIAL = 2.0**15
_GROWTH_STEPS = 2000  # without an overflow, until twice the scale is tried


class LossScale(tf.Module):
    """Attributes:
    scale: float32 variable, factor of the loss. Halved after a step whose gradients overflowed, which is left out; doubled now and then.
    """

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(_INITIAL, trainable=False, name="loss_scale")
        self.good_steps = tf.Variable(0, trainable=False, dtype=tf.int32, name="good_steps")

    def update(self, is_finite: tf.Tensor) -> None:
        """is_finite: bool [], whether the gradients of a step were; for all replicas together."""
        grows = self.good_steps + 1 >= _GROWTH_STEPS
        self.scale.assign(tf.where(is_finite, tf.where(grows, self.scale * 2.0, self.scale), self.scale * 0.5))
        self.good_steps.assign(tf.where(is_finite & ~grows, self.good_steps + 1, 0))
