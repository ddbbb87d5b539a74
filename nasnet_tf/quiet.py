"""TensorFlow without the remarks that its libraries make on standard error when it starts."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is written to standard error inside the `with`, not even by C++, unless an exception leaves it: then all of it is.

    The remarks come before any log level is read, two for each of several libraries, on every start.
    """
    with tempfile.TemporaryFile() as remarks, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        stderr = os.dup(2)
        stack.callback(os.close, stderr)
        stack.callback(os.dup2, stderr, 2)
        os.dup2(remarks.fileno(), 2)
        try:
            yield
        except BaseException:
            remarks.seek(0)
            os.write(stderr, remarks.read())
            raise


def import_tensorflow() -> None:
    """Imports TensorFlow and finds its devices."""
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()
