"""Parses the error messages of gin-config 0.5, which raises built-in exceptions that describe the mistake only in their text."""

import re

from nasnet_tf.base.errors import did_you_mean
from nasnet_tf.recipes.bindables import NAMES

_CALL_SITES = "\n  In call to configurable"


def without_call_sites(error: BaseException) -> str:
    """Returns an error's message without the lines that gin adds about the configurable that was being called."""
    return str(error).split(_CALL_SITES)[0].strip()


def unbound_macro(error: ValueError) -> str | None:
    """Returns the name of the macro that `gin.finalize` found to be unbound; None if the error has another cause."""
    match = re.search(r"No bindings specified for '([\w./]+)/gin\.macro'", str(error))
    return match[1] if match else None


def missing_bindings(error: TypeError) -> list[str] | None:
    """Returns "name.parameter" for each argument that was missing in a call; None if the error has another cause."""
    names = re.search(r"No values supplied by Gin or caller for arguments: \[(.*?)\]", str(error))
    if not names:
        return None
    owner = re.search(r"In call to configurable '([\w./]+)'", str(error))
    prefix = f"{owner[1].rsplit('.', 1)[-1]}." if owner else ""
    return sorted(prefix + name for name in re.findall(r"'(\w+)'", names[1]))


def mistake_in_file(error: Exception, source: str) -> str:
    """Returns a parse error as one line: its place, its message and, for an unknown name, the most similar known name.

    Args:
      error: the exception that `gin.parse_config` raised.
      source: path of the file, or another description of where the text came from.
    """
    message = " ".join(str(error).split())
    place = re.search(r'In file "[^"]*", line (\d+) (.*)$', message)
    if place:
        message = message[: place.start()].strip()
        place = f"{source}, line {place[1]}: {place[2]}"
    elif isinstance(error, SyntaxError) and error.lineno:
        message, place = error.msg, f"{source}, line {error.lineno}: {(error.text or '').strip()}"
    return f"{place or source}: {message.rstrip('.')}{_hint(message)}"


def _hint(message: str) -> str:
    from nasnet_tf.recipes.table import no_such

    if unknown := re.search(r"No configurable matching (?:reference )?'?@?([\w./]+)", message):
        return did_you_mean(unknown[1].rsplit("/", 1)[-1].rsplit(".", 1)[-1], NAMES)
    if unknown := re.search(r"Configurable '([\w.]+)' doesn't have a parameter named '(\w+)'", message):
        return no_such(unknown[1], unknown[2])
    return ""
