"""How an execution ended, and running one in a child process."""

import dataclasses
import os
import pathlib
import traceback
from collections.abc import Callable

from nasnet_tf.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one execution ended: with a value, or with a reason why there is none.

    Attributes:
      key: given to submit.
      seconds: from submit to here.
      value: what the function returned.
      reason: of a failure, one line; None where there is a value.
      user_error: the function raised InputError: trying again will not help.
      lost: of a failure, its machine left: no fault of the child's.
      over_deadline: of a failure, the child was killed at its deadline.
      machine: where it was, if that is known.
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
    """What makes TensorFlow use so many threads, at least one, if it is set before its first operation."""
    return dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(max(1, threads)))


def run_child(environment: dict[str, str], function: Callable[..., dict], args: tuple) -> dict:
    """Runs function(*args) in the child, with these environment variables besides its own.

    Returns:
      Fields of an Outcome, for not every exception survives the way to another process.
    """
    os.environ |= environment
    try:
        return {"value": function(*args)}
    except (Exception, SystemExit) as error:  # Whatever a child raises must not end the search.
        last_call = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())} ({pathlib.Path(last_call.filename).name}:{last_call.lineno})"
        is_user_error = isinstance(error, InputError)
        return {"reason": str(error) if is_user_error else reason, "user_error": is_user_error}
