"""Errors that end a command with one line instead of a traceback, and helpers for the text of error messages."""

import difflib
import re
from collections.abc import Collection


class NasnetError(Exception):
    """Base class of all errors that this package raises on purpose.

    Attributes:
      exit_code: exit code of a command that ends with this error.
    """

    exit_code = 1


class InputError(NasnetError, ValueError):
    """A mistake in what the user gave: a file, a name, a number, a folder. The message says what was expected and what was found."""


class SearchPaused(NasnetError, RuntimeError):
    """A search cannot continue at the moment. Its journal is complete, and repeating the command resumes it."""


class EngineLost(NasnetError, RuntimeError):
    """The engine of a search can run no more children, and the children that were running are lost."""


class FolderInUse(NasnetError, RuntimeError):
    """Another process is writing to the same folder."""


class TrainingInterrupted(NasnetError):
    """A training stopped early on request and saved its state; repeating the call resumes it."""

    exit_code = 0


class TrainingDiverged(NasnetError, ArithmeticError):
    """The loss or a weight became NaN or infinite. The message names the step and the learning rate."""


class WorkerLost(NasnetError, ConnectionError):
    """Another process of a multi-worker training has ended, and this process cannot continue without it."""


def reason(error: BaseException) -> str:
    """Returns the message of an error as one line, without the function, operation and pipeline names that TensorFlow adds to it."""
    text = re.sub(r"\{\{.*?\}\}\s*", "", str(getattr(error, "message", error)))
    refused = re.search(r"assertion failed: \[(.*?)\]", text)
    if refused:
        return refused[1]
    lines = [line for line in text.split("\n\t [[")[0].splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = re.sub(r"\s*\[Op:.*$", "", lines[-1 if lines[0].startswith("Graph execution error") else 0])
    return re.sub(r"^Error in user-defined function passed to .*? Iterator::[\w:\[\]]*: ", "", line)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Returns "; did you mean X?" with the most similar known name, or an empty string if none is similar."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
