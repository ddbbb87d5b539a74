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
    """Returns what an error says in one line, without what TensorFlow puts around it: its functions, its code and its pipelines."""
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
    """Returns "; did you mean X?", or nothing if no known name is similar."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
