"""The one exception of the package that speaks to a person, and the reasons that others give."""

import re


class InputError(ValueError):
    """A mistake in what the caller gave: a file, a name, a number, a folder.

    The message names the thing, what was expected and what came. The doors print it as one line and exit with code 1.
    """


def reason(error: Exception) -> str:
    """The first line of an error's message, without the names of TensorFlow's functions."""
    text = re.sub(r"\{\{.*?\}\}\s*", "", str(getattr(error, "message", error)))
    return text.splitlines()[0] if text else type(error).__name__
