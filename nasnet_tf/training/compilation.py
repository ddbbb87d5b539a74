"""Where XLA compiles what is trained and evaluated."""

from collections.abc import Callable

import tensorflow as tf


def compiled(function: Callable, jit_compile: bool | None) -> Callable:
    """The function, compiled by XLA if told to.

    Args:
      jit_compile: None for where it was seen to help: where there is a GPU. On CPUs networks of separable convolutions come out many times
        slower; on TPUs everything is compiled anyway.
    """
    if jit_compile is None:
        jit_compile = bool(tf.config.list_logical_devices("GPU"))
    if not jit_compile:
        return function
    on_one = tf.function(function, autograph=False, jit_compile=True)
    # A strategy that is given what XLA compiles would have it compile all replicas as one, which cannot be where they are of one CPU.
    return lambda *arguments: on_one(*arguments)
