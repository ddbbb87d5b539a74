"""Writing to a disk that may be full."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.base.errors import reason


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Python's and TensorFlow's many errors of writing as one OSError that names what could not be written."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise OSError(f"the {what} cannot be written ({reason(error)}); everything written before is kept") from error
