"""What all calls share: a configuration of their own, messages for Python callers, and processes that end with the call."""

import contextlib
import gc
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from typing import Any

import tensorflow as tf

from nasnet_tf.base import extras
from nasnet_tf.base.errors import InputError, NasnetError
from nasnet_tf.recipes import folders, gin_messages, reading, shorthand

# What commands call something, and what calls do.
_WORDS = {
    "--workdir": "workdir",
    "--gin_param": "bindings",
    "--gin_file": "recipe",
    "--data": "data",
    "repeat the command": "repeat the call",
}


@contextlib.contextmanager
def configured(recipe: str | os.PathLike, bindings: Mapping[str, Any], workdir: pathlib.Path) -> Iterator[str]:
    """Inside the `with` gin has the bindings of a recipe and those that override them, after it those that it had before.

    Yields:
      The configuration as text, as of reading.parse_gin.

    Raises:
      InputError: as of reading.parse_gin; or the recipe lacks a binding that the work needs.
    """
    with reading.own_bindings():
        text = reading.parse_gin([os.fspath(recipe)], shorthand.lines(bindings), folders.begun_with(workdir))
        try:
            yield text
        except TypeError as error:
            missing = gin_messages.missing_bindings(error)
            if not missing:
                raise
            raise InputError(f"the configuration lacks a binding for {', '.join(missing)}") from error


@contextlib.contextmanager
def worded_for_python() -> Iterator[None]:
    """Errors of this package name arguments of calls where they would name flags of commands."""
    try:
        yield
    except NasnetError as error:
        text = gin_messages.without_call_sites(error)
        for of_commands, of_calls in _WORDS.items():
            text = text.replace(of_commands, of_calls)
        error.args = (text,)
        raise
    except ModuleNotFoundError as error:
        asked = extras.missing(error)
        if asked is None:
            raise
        raise asked from error


@contextlib.contextmanager
def own_processes() -> Iterator[None]:
    """Processes that begin inside the `with` do not run the caller's script, and none is left after it.

    Python's processes import the script of the process that starts them, for what they are to call may be defined there. What a search
    calls is defined in this package; and a script without `if __name__ == "__main__"` would search again in each of them.
    """
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker  # without a public way to them
    is_others = server._forkserver_pid is not None, tracker._fd is not None
    script = vars(sys.modules["__main__"])
    hidden = {name: script.pop(name) for name in ("__file__", "__spec__") if name in script}
    script["__spec__"] = None
    try:
        yield
    finally:
        script.update(hidden)
        if not is_others[0]:
            server._stop()
        gc.collect()  # semaphores that are garbage now would start the tracker again
        if not is_others[1]:
            tracker._stop()


def leave_gpus_to_children() -> None:
    """Lets this process take of a GPU's memory only what it needs: TensorFlow takes all of it, which children need.

    Nothing can be changed once TensorFlow has been used, as it has in many notebooks; then it says so.
    """
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except (RuntimeError, ValueError):
        print(
            "TensorFlow may have taken the memory of the GPU for this process, and leave none to children; if they run out of memory, "
            "restart Python and begin with tf.config.experimental.set_memory_growth(gpu, True) for each of "
            "tf.config.list_physical_devices('GPU')",
            file=sys.stderr,
            flush=True,
        )
