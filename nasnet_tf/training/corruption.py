"""Examples that cannot be read: named; those of training counted and left out, up to a limit."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.training.task import Data

FILE_NAME = "corrupt_images.txt"


@contextlib.contextmanager
def naming_bad_data(data: Data, split: str) -> Iterator[None]:
    """What TensorFlow raises for images that cannot be decoded and for files that are cut short or gone, as an InputError with the name."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise data.diagnose(split) or error from error


class CorruptImages:
    """Keeps their names in the work folder. Every worker keeps count by itself and comes to the same; the chief alone writes."""

    def __init__(self, data: Data, limit: int, workdir: pathlib.Path | None, is_chief: bool):
        self._data, self._limit, self._is_chief = data, limit, is_chief
        self._path = workdir / FILE_NAME if workdir else None
        self._names = self._path.read_text().splitlines() if self._path and self._path.exists() else []

    def note(self, batch_size: int, seed: int, step: int) -> None:
        """Takes in the corrupt images of one training batch.

        Raises:
          InputError: there are more of them than the limit.
        """
        found = self._data.corrupt_names(batch_size, seed, step)
        new = [name for name in found if name not in self._names]
        self._names += new
        if self._is_chief and new:
            if self._path:
                replace_file(self._path, "".join(f"{name}\n" for name in self._names))
            print(f"warning: left out: {', '.join(f'{name} {found[name]}' for name in new)}", file=sys.stderr, flush=True)
        if len(self._names) > self._limit:
            raise InputError(
                f"{self._names[-1]} {found.get(self._names[-1], 'cannot be trained on')}; {len(self._names)} such in the training data are "
                f"more than TrainingConfig.max_corrupt_images = {self._limit}: {', '.join(self._names)}"
            )
