"""In which numbers networks compute: a dtype policy of Keras."""

import contextlib
from collections.abc import Iterator

import keras

from nasnet_tf.errors import InputError

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
