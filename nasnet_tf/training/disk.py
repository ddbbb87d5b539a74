"""Writing to a disk that may be full."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """TensorFlow's many errors of writing as one OSError that names what could not be written."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\}\s*", "", error.message.splitlines()[0])
        raise OSError(f"the {what} cannot be written ({reason}); what was written before stays") from error
