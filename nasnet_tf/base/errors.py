"""The one exception of the package that speaks to a person, and the reasons that others give."""

import difflib
import re
from collections.abc import Collection


class InputError(ValueError):
    """A mistake in what the caller gave: a file, a name, a number, a folder.

    The message names the thing, what was expected and what came. The doors print it as one line and exit with code 1.
    """


def reason(error: Exception) -> str:
    """The first line of an error's message, without the names of TensorFlow's functions."""
    text = re.sub(r"\{\{.*?\}\}\s*", "", str(getattr(error, "message", error)))
    return text.splitlines()[0] if text else type(error).__name__


def did_you_mean(name: str, known: Collection[str]) -> str:
    """ "; did you mean X?", or nothing where no known name is like it."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
