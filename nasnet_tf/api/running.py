"""Common parts of all calls: a configuration of their own, errors worded for Python, and processes that end with the call."""

import contextlib
import gc
import os
import pathlib
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from typing import Any

import tensorflow as tf

from nasnet_tf.base import extras
from nasnet_tf.base.errors import InputError, NasnetError
from nasnet_tf.recipes import folders, gin_messages, reading, shorthand

ANY_DATA = {"ImageData.source": "digits"}  # a recipe without its own data set can only be read with one
_running = threading.Lock()
# {word in a message of a command: word for calls from Python}
_WORDS = {
    "--workdir": "workdir",
    "--gin_param": "bindings",
    "--gin_file": "recipe",
    "--data": "data",
    "repeat the command": "repeat the call",
}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lets one call at a time into the `with`: the configuration and the processes of a search belong to the whole process.

    Raises:
      InputError: another call is there.
    """
    if not _running.acquire(blocking=False):
        raise InputError("another search or training is running in this process; wait until it ends, or start this one in another process")
    try:
        yield
    finally:
        _running.release()


@contextlib.contextmanager
def configured(recipe: str | os.PathLike, bindings: Mapping[str, Any], workdir: pathlib.Path) -> Iterator[str]:
    """Configures gin with a recipe and bindings that override it; restores gin's previous bindings at the end of the `with`.

    Yields:
      The configuration as text, as reading.parse_gin returns it.

    Raises:
      InputError: as from reading.parse_gin; the recipe lacks a binding that the work needs; or another call is at work.
    """
    with _alone(), reading.own_bindings():
        text = reading.parse_gin([os.fspath(recipe)], shorthand.lines(bindings), folders.begun_with(workdir))
        try:
            yield text
        except TypeError as error:
            missing = gin_messages.missing_bindings(error)
            if not missing:
                raise
            raise InputError(f"the configuration lacks a binding for {', '.join(missing)}; add it to bindings or to the recipe") from error


@contextlib.contextmanager
def worded_for_python() -> Iterator[None]:
    """Makes errors of this package name arguments of calls instead of flags of commands."""
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
    """Keeps processes that start inside the `with` from running the caller's script; none of them outlives it.

    A new Python process imports the script of its parent, because the function to call may be defined there. A search only calls functions
    of this package. Without this, a script that lacks `if __name__ == "__main__"` would start its search again in each process.
    """
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker  # there is no public access to them
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
        gc.collect()  # unused semaphores would start the tracker again when they are deleted
        if not is_others[1]:
            tracker._stop()


def leave_gpus_to_children() -> None:
    """Makes TensorFlow in this process take only the GPU memory that it needs, instead of all of it, so that children get some.

    This has no effect once TensorFlow has used a GPU, as in many notebooks; then a line on standard error says so.
    """
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except (RuntimeError, ValueError):
        print(
            "TensorFlow may have taken the memory of the GPU for this process and left none to children; if they run out of memory, "
            "restart Python and begin with tf.config.experimental.set_memory_growth(gpu, True) for each of "
            "tf.config.list_physical_devices('GPU')",
            file=sys.stderr,
            flush=True,
        )
