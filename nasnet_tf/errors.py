"""The one exception of the package that speaks to a person."""


class InputError(ValueError):
    """A mistake in what the caller gave: a file, a name, a number, a folder.

    The message names the thing, what was expected and what came. The doors print it as one line and exit with code 1.
    """
