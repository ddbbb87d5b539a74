"""Serializes the state of a search strategy: named arrays, the identity of the strategy, and a checksum.

Pickle is not used, because the state is read from disk and loading a pickle can run code.
"""

import dataclasses
import hashlib
import io
import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace

_DIGEST_BYTES = hashlib.sha256().digest_size


def packed(identity: Mapping, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Serializes a strategy's state; equal content gives equal bytes.

    Args:
      identity: JSON values that say which strategy the state belongs to: its name as "strategy", and its arguments.
      arrays: the state; the name "identity" is reserved.
    """
    buffer = io.BytesIO()
    np.savez(buffer, identity=np.array(json.dumps(identity)), **arrays)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unpacked(identity: Mapping, state: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays that were given to `packed`.

    Raises:
      InputError: the bytes are damaged, or were packed with a different identity.
    """
    name = f"state of {identity['strategy']}"
    content = state[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != state[:_DIGEST_BYTES]:
        raise InputError(f"{name}: expected bytes that state() returned, got {len(state)} bytes that are damaged or from elsewhere")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = dict(archive)
    expected, found = json.loads(json.dumps(identity)), json.loads(arrays.pop("identity").item())
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            raise InputError(f"{name}: expected a state with {key} {expected.get(key)!r}, got one with {key} {found.get(key)!r}")
    return arrays


def identity_of(strategy: Any) -> dict:
    """Returns the identity of a strategy that is a dataclass: its class name and those fields that are not functions."""
    values = {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy)}
    values = {name: value.description() if isinstance(value, SearchSpace) else value for name, value in values.items()}
    values.pop("strategy", None)  # the base strategy, if there is one; its own state carries its identity
    return {"strategy": type(strategy).__name__} | {name: value for name, value in values.items() if not callable(value)}


def of_random(rng: random.Random) -> np.ndarray:
    """Returns the state of a random generator, uint32 [625].

    A number that `gauss` has cached is not included; no strategy draws normal variates with such a generator.
    """
    return np.array(rng.getstate()[1], np.uint32)


def set_random(rng: random.Random, state: np.ndarray) -> None:
    """Sets a random generator to a state that `of_random` returned."""
    rng.setstate((random.Random.VERSION, tuple(state.tolist()), None))
