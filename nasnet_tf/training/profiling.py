"""A TensorBoard profile of some of a training's own steps: what its time goes into, on the host and on each device."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason


def check(steps: tuple[int, int], total: int) -> None:
    """Raises InputError unless 0 <= first < last <= total, the steps of the whole training."""
    first, last = steps
    if not 0 <= first < last <= total:
        raise InputError(
            f"profile_steps: expected two numbers of steps, the first below the second, up to the training's {total:,}, got {first},{last}"
        )


class StepProfile:
    """Profiles the calls in which the steps between two numbers of steps done are taken; changes nothing of the training.

    Args:
      steps: (first, last), 0 <= first < last: from when `first` steps are done until `last` are; of a training that is resumed in between,
        the rest. None for no profile.
      folder: gets it, in plugins/profile.
    """

    def __init__(self, steps: tuple[int, int] | None, folder: pathlib.Path):
        self._steps, self._folder = steps, folder
        self._is_on = False

    @contextlib.contextmanager
    def of(self, steps: range) -> Iterator[None]:
        """Around the call that takes these steps."""
        if self._steps is None:
            yield
            return
        first, last = self._steps
        if not self._is_on and steps.start < last and steps.stop > first:
            self._start()
        if not self._is_on:
            yield
            return
        with tf.profiler.experimental.Trace("train", step_num=steps.start, _r=1):  # by which TensorBoard tells steps apart
            yield

    def after(self, done: int, results: tf.Tensor) -> None:
        """Ends it where it is time to, once the results of the last call are there: devices work behind Python."""
        if self._is_on and done >= self._steps[1]:
            results.numpy()
            self.close()

    def close(self) -> None:
        """Also in the middle of it: what was seen so far is kept."""
        if self._is_on:
            self._is_on = False
            with _without_an_end():
                tf.profiler.experimental.stop()
                print(f"profile: {self._folder / 'plugins' / 'profile'}", file=sys.stderr, flush=True)

    def _start(self) -> None:
        with _without_an_end():
            tf.profiler.experimental.start(str(self._folder))
            self._is_on = True
        if not self._is_on:
            self._steps = None


@contextlib.contextmanager
def _without_an_end() -> Iterator[None]:
    """A training is worth more than its profile: what hinders that is said, and no more."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        print(f"no profile: {reason(error)}", file=sys.stderr, flush=True)
