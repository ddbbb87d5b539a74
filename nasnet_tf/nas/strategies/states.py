"""The state of a search strategy as bytes: named arrays, whom they belong to, and a checksum. No pickle: it comes from disk."""

import hashlib
import io
import json
import random
from collections.abc import Mapping

import numpy as np

from nasnet_tf.base.errors import InputError

_DIGEST_BYTES = hashlib.sha256().digest_size


def packed(identity: Mapping, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The same bytes for the same content.

    Args:
      identity: JSON, which "strategy" and with which arguments; what the state fits.
      arrays: not named "identity".
    """
    buffer = io.BytesIO()
    np.savez(buffer, identity=np.array(json.dumps(identity)), **arrays)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unpacked(identity: Mapping, state: bytes) -> dict[str, np.ndarray]:
    """The arrays of `packed`; raises InputError if the bytes are others, or of another identity."""
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


def of_random(rng: random.Random) -> np.ndarray:
    """Where a generator stands, uint32 [625]; normal variates, which keep one more number, are not drawn here."""
    return np.array(rng.getstate()[1], np.uint32)


def set_random(rng: random.Random, state: np.ndarray) -> None:
    """Puts a generator where another one stood."""
    rng.setstate((random.Random.VERSION, tuple(state.tolist()), None))
