"""In which numbers networks compute: a dtype policy of Keras."""

import contextlib
from collections.abc import Iterator

import keras

from nasnet_tf.errors import InputError

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")  # weights are float32 in all of them


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Networks built inside the `with` have the policy of this name."""
    if name not in POLICIES:
        raise InputError(f"dtype_policy: expected one of {', '.join(POLICIES)}, got {name!r}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check() -> None:
    """Raises InputError where Keras' policy of now is none that networks are trained in."""
    name = keras.config.dtype_policy().name
    if name not in POLICIES:
        raise InputError(f"Keras' dtype policy: expected one of {', '.join(POLICIES)}, got {name!r}")
