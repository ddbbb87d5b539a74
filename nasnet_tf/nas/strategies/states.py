"""The state of a search strategy as bytes: named arrays, the strategy they fit, and a checksum. No pickle, for it comes from disk."""

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
    """Returns the same bytes for the same content.

    Args:
      identity: what the state fits, as JSON: which "strategy", and with which arguments.
      arrays: not named "identity".
    """
    buffer = io.BytesIO()
    np.savez(buffer, identity=np.array(json.dumps(identity)), **arrays)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unpacked(identity: Mapping, state: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of `packed`; raises InputError if the bytes are damaged, or of another identity."""
    name = f"state of {identity['strategy']}"
    content = state[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != state[:_DIGEST_BYTES]:
        raise InputError(f"{name}: expected bytes that state() returned, got {len(state)} damaged or other ones")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = dict(archive)
    expected, found = json.loads(json.dumps(identity)), json.loads(arrays.pop("identity").item())
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            raise InputError(f"{name}: expected one with {key} {expected.get(key)!r}, got one with {found.get(key)!r}")
    return arrays


def identity_of(strategy: Any) -> dict:
    """Returns the identity of a strategy that is a dataclass: its class and its fields, without functions."""
    values = {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy)}
    values = {name: value.description() if isinstance(value, SearchSpace) else value for name, value in values.items()}
    values.pop("strategy", None)  # of a strategy that has a base strategy, which has a state of its own
    return {"strategy": type(strategy).__name__} | {name: value for name, value in values.items() if not callable(value)}


def of_random(rng: random.Random) -> np.ndarray:
    """Returns the state of a generator, uint32 [625]; normal variates, which keep one more number, are not drawn here."""
    return np.array(rng.getstate()[1], np.uint32)


def set_random(rng: random.Random, state: np.ndarray) -> None:
    """Restores the state of a generator."""
    rng.setstate((random.Random.VERSION, tuple(state.tolist()), None))
