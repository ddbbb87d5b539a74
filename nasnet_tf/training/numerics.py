"""Precision, loss scale and compilation of a training."""

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")  # weights are float32 in all of them


def dtype_policy(name: str) -> contextlib.AbstractContextManager[None]:
    """Networks built inside the `with` have the policy of this name."""
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
    """Raises InputError where Keras' policy of now is none that networks are trained in."""
    _check_name("Keras' dtype policy", keras.config.dtype_policy().name)


def in_policy(network: dict, name: str) -> dict:
    """The description of a network, as `model.to_json()` gives it, with another policy; its classifiers stay in float32."""
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


def compiled(function: Callable, jit_compile: bool | None) -> Callable:
    """The function, compiled by XLA if told to.

    Args:
      jit_compile: None for where it was seen to help: where there is a GPU. On CPUs networks of separable convolutions come out many times
        slower; on TPUs everything is compiled anyway.
    """
    if not is_compiled(jit_compile):
        return function
    on_one = tf.function(function, autograph=False, jit_compile=True)
    # A strategy that is given what XLA compiles would have it compile all replicas as one, which cannot be where they are of one CPU.
    return lambda *arguments: on_one(*arguments)


def is_compiled(jit_compile: bool | None) -> bool:
    """Whether XLA compiles; jit_compile as for `compiled`."""
    return bool(tf.config.list_logical_devices("GPU")) if jit_compile is None else jit_compile
