"""Errors that end a command in one line instead of a traceback, and the words of errors that libraries raise."""

import difflib
import re
from collections.abc import Collection


class NasnetError(Exception):
    """Base class of all errors that this package raises on purpose.

    Attributes:
      exit_code: of a command that ends with it.
    """

    exit_code = 1


class InputError(NasnetError, ValueError):
    """A user's mistake: in a file, a name, a number, a folder. The message says what is wrong, what was expected and what came."""


class SearchPaused(NasnetError, RuntimeError):
    """Nothing works any more in a search. The journal is whole, and repeating the command resumes it."""


class EngineLost(NasnetError, RuntimeError):
    """No child can run any more, and those that ran are gone."""


class FolderInUse(NasnetError, RuntimeError):
    """Another process writes in the same folder."""


class TrainingInterrupted(NasnetError):
    """A training ended early, as asked, with everything saved; repeating the call resumes it."""

    exit_code = 0


class TrainingDiverged(NasnetError, ArithmeticError):
    """The loss or a weight became NaN or infinite. The message names step and learning rate."""


class WorkerLost(NasnetError, ConnectionError):
    """Another process of a training with several workers is gone, and this one cannot go on without it."""


def reason(error: BaseException) -> str:
    """Returns the first line of an error's message, without the names of TensorFlow's functions."""
    text = re.sub(r"\{\{.*?\}\}\s*", "", str(getattr(error, "message", error)))
    return text.splitlines()[0] if text else type(error).__name__


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Returns "; did you mean X?", or nothing if no known name is similar."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
