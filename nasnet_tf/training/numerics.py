"""Precision, loss scale and XLA compilation of a training."""

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")  # weights are float32 in all of them


def dtype_policy(name: str) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which networks are built with this dtype policy; raises InputError if the name is unknown."""
    _check_name("dtype_policy", name)
    return _policy(name)


@contextlib.contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_name(what: str, name: str) -> None:
    if name not in POLICIES:
        raise InputError(f"{what}: expected one of {', '.join(POLICIES)}, got {name!r}")


def check() -> None:
    """Raises InputError if Keras' current dtype policy is not one of POLICIES."""
    _check_name("Keras' dtype policy", keras.config.dtype_policy().name)


def in_policy(network: dict, name: str) -> dict:
    """Returns the description of a network with another dtype policy. Its classifiers, the dense layers, stay as they are, in float32.

    Args:
      network: content of `model.to_json()`.
      name: one of POLICIES.

    Raises:
      InputError: the name is unknown.
    """
    _check_name("dtype_policy", name)

    def changed(item):
        if isinstance(item, list):
            return [changed(each) for each in item]
        if not isinstance(item, dict) or item.get("class_name") == "Dense":
            return item
        if item.get("class_name") == "DTypePolicy":
            return item | {"config": {"name": name}}
        return {key: changed(value) for key, value in item.items()}

    return changed(network)


_INITIAL = 2.0**15
_GROWTH_STEPS = 2000  # steps without an overflow after which the scale is doubled


class LossScale(tf.Module):
    """Factor of the loss that keeps small gradients in float16 from becoming 0.

    Attributes:
      scale: the factor, float32 variable. It is halved after a step whose gradients overflowed, and doubled after 2,000 steps without that.
      good_steps: number of steps since the scale last changed, int32 variable.
    """

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(_INITIAL, trainable=False, name="loss_scale")
        self.good_steps = tf.Variable(0, trainable=False, dtype=tf.int32, name="good_steps")

    def update(self, is_finite: tf.Tensor) -> None:
        """Adapts the scale after a step.

        Args:
          is_finite: whether all gradients of the step are finite on all replicas, bool [].
        """
        grows = self.good_steps + 1 >= _GROWTH_STEPS
        self.scale.assign(tf.where(is_finite, tf.where(grows, self.scale * 2.0, self.scale), self.scale * 0.5))
        self.good_steps.assign(tf.where(is_finite & ~grows, self.good_steps + 1, 0))


def compiled(function: Callable, jit_compile: bool | None) -> Callable:
    """Returns the function, compiled by XLA if requested.

    Args:
      function: function of tensors.
      jit_compile: whether to compile; None to compile if there is a GPU, where it was measured to help. On CPUs, XLA makes networks of
        separable convolutions many times slower. On TPUs, everything is compiled anyway.
    """
    if not is_compiled(jit_compile):
        return function
    on_one = tf.function(function, autograph=False, jit_compile=True)
    # The lambda hides the compiled function from the strategy, which would compile all replicas together. That fails if they share a CPU.
    return lambda *arguments: on_one(*arguments)


def is_compiled(jit_compile: bool | None) -> bool:
    """Returns whether XLA compiles, for a jit_compile as in `compiled`."""
    return bool(tf.config.list_logical_devices("GPU")) if jit_compile is None else jit_compile
