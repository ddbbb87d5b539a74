"""Profiles some steps of a training for TensorBoard: where its time goes, on the host and on each device."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason


def check(steps: tuple[int, int], total: int) -> None:
    """Raises InputError unless 0 <= first < last <= total, where total is the number of steps of the whole training."""
    first, last = steps
    if not 0 <= first < last <= total:
        raise InputError(
            f"profile_steps: expected two step numbers, the first below the second, up to the last step {total:,}, got {first},{last}"
        )


class StepProfile:
    """Profiles the calls that take the given steps of a training. The results of the training do not change.

    Args:
      steps: (first, last), 0 <= first < last: profiles from when `first` steps are done until `last` steps are done. A training that is
        resumed in between profiles the rest. None for no profile.
      folder: folder for the profile, which goes to plugins/profile.
    """

    def __init__(self, steps: tuple[int, int] | None, folder: pathlib.Path):
        self._steps, self._folder = steps, folder
        self._is_on = False

    @contextlib.contextmanager
    def of(self, steps: range) -> Iterator[None]:
        """Profiles the call inside the `with` if any of its steps is to be profiled.

        Args:
          steps: the steps that the call takes.
        """
        if self._steps is None:
            yield
            return
        first, last = self._steps
        if not self._is_on and steps.start < last and steps.stop > first:
            self._start()
        if not self._is_on:
            yield
            return
        with tf.profiler.experimental.Trace("train", step_num=steps.start, _r=1):  # marks a step for TensorBoard
            yield

    def after(self, done: int, results: tf.Tensor) -> None:
        """Ends the profile if its last step is done. First waits for the results of the last call, because devices run behind Python."""
        if self._is_on and done >= self._steps[1]:
            results.numpy()
            self.close()

    def close(self) -> None:
        """Ends the profile, even before its last step; the steps so far are kept."""
        if self._is_on:
            self._is_on = False
            with _reporting_errors():
                tf.profiler.experimental.stop()
                print(f"profile: {self._folder / 'plugins' / 'profile'}", file=sys.stderr, flush=True)

    def _start(self) -> None:
        with _reporting_errors():
            tf.profiler.experimental.start(str(self._folder))
            self._is_on = True
        if not self._is_on:
            self._steps = None


@contextlib.contextmanager
def _reporting_errors() -> Iterator[None]:
    """Reports profiler errors inside the `with`, which never stop the training."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        print(f"no profile: {reason(error)}", file=sys.stderr, flush=True)
