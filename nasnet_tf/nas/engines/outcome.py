"""The outcome of an execution, and the function that runs one in a child process."""

import dataclasses
import os
import pathlib
import pickle
import traceback
from collections.abc import Callable

from nasnet_tf.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of one execution of a child: a value, or the reason for its failure.

    Attributes:
      key: the key given to `Engine.submit`.
      seconds: time from the submission to the outcome.
      value: return value of the function; None if it failed.
      reason: reason of the failure in one line; None if there is a value.
      user_error: whether the function raised InputError, in which case a retry will not help.
      lost: whether it failed because its machine left, which is not the child's fault.
      over_deadline: whether it failed because it was killed at its deadline.
      machine: name of the machine it ran on; empty if unknown.
    """

    key: int
    seconds: float
    value: dict | None = None
    reason: str | None = None
    user_error: bool = False
    lost: bool = False
    over_deadline: bool = False
    machine: str = ""


def thread_environment(threads: int) -> dict[str, str]:
    """Returns environment variables that limit TensorFlow to `threads` threads, at least one.

    They take effect only if they are set before TensorFlow's first operation.
    """
    return dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(max(1, threads)))


def run_child(environment: dict[str, str], function: Callable[..., dict], args: tuple) -> dict:
    """Runs function(*args) in the child, with `environment` added to the environment variables.

    Returns:
      Fields of an Outcome. Exceptions are turned into text, because not every exception can be pickled.
    """
    os.environ |= environment
    try:
        return {"value": function(*args)}
    except (Exception, SystemExit) as error:  # An exception in a child must not end the search.
        last_call = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())} ({pathlib.Path(last_call.filename).name}:{last_call.lineno})"
        is_user_error = isinstance(error, InputError)
        return {"reason": str(error) if is_user_error else reason, "user_error": is_user_error}


def run_apart(environment: dict[str, str], function: Callable[..., dict], args: tuple) -> dict:
    """Runs a child as `run_child` does, in a process of its own; a result that cannot be sent to the search is a failure."""
    fields = run_child(environment, function, args)
    try:
        pickle.dumps(fields)
    except Exception as error:  # the methods of a pickled object may raise any exception
        return {"reason": f"its result cannot be sent to the search: {error}"}
    return fields
