"""Names examples that cannot be decoded. A training counts them and leaves them out, up to a limit."""

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
    """Turns TensorFlow's errors inside the `with` about bad images or files into an InputError that names the first bad example.

    If the data has no bad example, the error is raised unchanged.

    Args:
      data: source of the examples.
      split: split that is read inside the `with`.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise data.diagnose(split) or error from error


class CorruptImages:
    """Keeps the names of corrupt training images in the work folder. All workers count the same images; only the chief writes.

    Args:
      data: source of the examples.
      limit: maximum number of corrupt images.
      workdir: work folder; None to keep no file.
      is_chief: whether this process writes the file and the warnings.
    """

    def __init__(self, data: Data, limit: int, workdir: pathlib.Path | None, is_chief: bool):
        self._data, self._limit, self._is_chief = data, limit, is_chief
        self._path = workdir / FILE_NAME if workdir else None
        self._names = self._path.read_text().splitlines() if self._path and self._path.exists() else []

    def note(self, batch_size: int, seed: int, step: int) -> None:
        """Adds the corrupt images of one training batch.

        Args:
          batch_size: batch size of all replicas together.
          seed: seed of the training.
          step: number of steps before this batch.

        Raises:
          InputError: the training data has more corrupt images than the limit.
        """
        found = self._data.corrupt_names(batch_size, seed, step)
        new = [name for name in found if name not in self._names]
        self._names += new
        if self._is_chief and new:
            if self._path:
                replace_file(self._path, "".join(f"{name}\n" for name in self._names))
            print(f"warning: left out of training: {', '.join(f'{name} {found[name]}' for name in new)}", file=sys.stderr, flush=True)
        if len(self._names) > self._limit:
            raise InputError(
                f"{self._names[-1]} {found.get(self._names[-1], 'cannot be trained on')}; expected at most {self._limit} such images "
                f"(TrainingConfig.max_corrupt_images), got {len(self._names)}: {', '.join(self._names)}; repair or remove them"
            )
