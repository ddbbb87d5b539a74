"""What the steps since the last row of metrics said of themselves."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf


class Window:
    """Sums of the steps' numbers. Results stay on the device until they are read, so that steps do not wait for each other.

    Attributes:
      sums: float64 [len(names) + 1], the last of them the number of steps; saved with checkpoints, for a resumed training to write the
        very same rows.
    """

    def __init__(self, names: Sequence[str]):
        self._names = tuple(names)
        self._unread: list[tf.Tensor] = []
        self.last: tf.Tensor | None = None
        self.clear()

    def clear(self) -> None:
        """Begins a new row."""
        self.sums = np.zeros(len(self._names) + 1)

    def add(self, result: tf.Tensor) -> None:
        """Takes in what one step returned: float32 [len(names)]."""
        self._unread.append(result)
        self.last = result

    def read(self) -> Iterator[dict[str, float]]:
        """The numbers of each step that was not read yet, by name."""
        unread, self._unread = self._unread, []
        for result in unread:
            values = result.numpy()
            yield self.named(values)
            self.sums += [*values, 1.0]

    def named(self, values: np.ndarray) -> dict[str, float]:
        """The numbers of one step by name."""
        return {name: float(value) for name, value in zip(self._names, values, strict=True)}

    @property
    def num_unread(self) -> int:
        """Steps that were not read yet."""
        return len(self._unread)

    def means(self) -> dict[str, float]:
        """Of the steps that were read since the last `clear`."""
        return self.named(self.sums[:-1] / self.sums[-1])
