"""TensorFlow without the remarks that its libraries make on standard error when it starts."""

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# What libraries write past any log level; whoever reads images says by name which cannot be decoded.
_REMARKS = re.compile(rb"Improper call to JPEG library|Corrupt JPEG data|Premature end of JPEG file|libpng (warning|error)")
_END = b"\0end of remarks\n"


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
        python = stack.enter_context(os.fdopen(os.dup(2), "w", buffering=1))
        stack.enter_context(contextlib.redirect_stderr(python))
        try:
            yield
        except BaseException:
            remarks.seek(0)
            os.write(stderr, remarks.read())
            raise


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Leaves lines of C libraries that tell nobody anything out of standard error. What Python writes goes there directly."""
    sys.stderr.flush()
    before, stderr = sys.stderr, os.dup(2)
    source, sink = os.pipe()

    def pass_on() -> None:
        with os.fdopen(source, "rb") as lines:
            for line in iter(lines.readline, b""):
                if line == _END:
                    return
                if not _REMARKS.match(line):
                    os.write(stderr, line)

    os.dup2(sink, 2)
    os.close(sink)
    sys.stderr = os.fdopen(os.dup(stderr), "w", buffering=1)
    reader = threading.Thread(target=pass_on, daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.write(2, _END)  # processes that were started have the pipe too: it may not end by itself
        reader.join()
        os.dup2(stderr, 2)
        sys.stderr = before
        os.close(stderr)


def import_tensorflow() -> None:
    """Imports TensorFlow and finds its devices."""
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()
