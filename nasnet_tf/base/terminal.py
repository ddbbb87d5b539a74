"""Terminal output: silences log messages of TensorFlow and C libraries, and prints a progress line."""

import contextlib
import math
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TextIO

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Messages of libraries that no log level silences. Our own readers report the name of each image that cannot be decoded.
_REMARKS = re.compile(
    rb"Improper call to JPEG library|Corrupt JPEG data|Premature end of JPEG file|libpng (warning|error)|INFO: Created TensorFlow Lite XNN"
)
_END = b"\0end of remarks\n"


class _Follower:
    """A stand-in for sys.stderr that writes to a file first, and to the current sys.stderr after `follow` is called.

    TensorFlow's log handler keeps the sys.stderr that it finds on import, and would otherwise keep writing to the closed file.

    Args:
      file: the file that is written to until `follow` is called.
    """

    def __init__(self, file: TextIO):
        self._file: TextIO | None = file

    def follow(self) -> None:
        """Writes to the current sys.stderr from now on."""
        self._file = None

    def __getattr__(self, name: str):
        return getattr(self._file or sys.stderr, name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses standard error inside the `with`, including output of C++ code; prints all of it if an exception leaves the `with`.

    TensorFlow's libraries print start-up messages before they read any log level.
    """
    with tempfile.TemporaryFile() as remarks, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        stderr = os.dup(2)
        stack.callback(os.close, stderr)
        stack.callback(os.dup2, stderr, 2)
        os.dup2(remarks.fileno(), 2)
        python = _Follower(stack.enter_context(os.fdopen(os.dup(2), "w", buffering=1)))
        stack.callback(python.follow)
        stack.enter_context(contextlib.redirect_stderr(python))
        try:
            yield
        except BaseException:
            remarks.seek(0)
            os.write(stderr, remarks.read())
            raise


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Filters uninformative lines of C image libraries out of standard error. Output of Python code is not filtered."""
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
        os.write(2, _END)  # child processes may still hold the pipe open, so the reader cannot wait for its end
        reader.join()
        os.dup2(stderr, 2)
        sys.stderr = before
        os.close(stderr)


def import_tensorflow() -> None:
    """Imports TensorFlow and initializes its devices without the log messages that it prints at start-up."""
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()


_TERMINAL_SECONDS, _LOG_SECONDS = 0.5, 10.0
_BAR_WIDTH = 20


class ProgressLine:
    """A progress line on standard error: a bar that is redrawn on a terminal, a new line every 10 seconds elsewhere.

    Args:
      title: text at the beginning of the line.
      total: number of units at the end.
      unit: what is counted, such as "steps".
      start: units that were done before, which the estimate of the time left ignores.
      enabled: False to print nothing.
    """

    def __init__(self, title: str, total: int, unit: str, start: int = 0, enabled: bool = True):
        self._title, self._total, self._unit, self._start, self._enabled = title, total, unit, start, enabled
        self._began = time.monotonic()
        self._printed = 0.0
        self._is_terminal = sys.stderr.isatty()

    def update(self, done: int, seconds_left: float = math.inf, **values: float) -> None:
        """Prints the line if its interval has passed or the work is done.

        Args:
          done: units done so far, including `start`.
          seconds_left: seconds until a time limit, which caps the estimate of the time left; infinite without a limit.
          **values: numbers to show at the end of the line, by name.
        """
        now = time.monotonic()
        interval = _TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS
        if not self._enabled or (now - self._printed < interval and done < self._total):
            return
        self._printed = now
        parts = [f"{self._title}: {done}/{self._total} {self._unit}"]
        if done >= self._total:
            parts.append(format_seconds(now - self._began))
        else:
            guess = (now - self._began) / (done - self._start) * (self._total - done) if done > self._start else math.inf
            left = min(guess, seconds_left)
            parts += [f"{format_seconds(left)} left"] if left < math.inf else []
        parts += [f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in values.items()]
        line, end = " | ".join(parts), "\n"
        if self._is_terminal:
            bar = "#" * int(_BAR_WIDTH * min(1.0, done / self._total))
            # A line that wraps could not be redrawn.
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line, end = "\x1b[2K" + f"[{bar:-<{_BAR_WIDTH}}] {line}"[: columns - 1], "\r" if done < self._total else "\n"
        print(line, end=end, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """Formats seconds as minutes or hours: 75 -> "1:15", 3675 -> "1:01:15"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
