"""Error messages for a disk that may be full."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.base.errors import reason


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turns the write errors of Python and TensorFlow inside the `with` into one OSError.

    Args:
      what: name of what is written, without "the", for the message.
    """
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise OSError(f"the {what} cannot be written ({reason(error)}); everything written before is kept") from error
