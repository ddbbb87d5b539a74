"""What the steps since the last row of metrics said of themselves."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf


class Window:
    """Sums of the steps' numbers. Results stay on the device until they are read, so that steps do not wait for each other.

    Attributes:
      sums: float64 [len(names) + 1], the last of them the number of steps; saved with checkpoints, for a resumed training to write the
        very same rows.
      unread: how many steps' results were not read yet.
    """

    def __init__(self, names: Sequence[str]):
        self._names = tuple(names)
        self._results: list[tf.Tensor] = []
        self.unread = 0
        self.clear()

    def clear(self) -> None:
        """Begins a new row."""
        self.sums = np.zeros(len(self._names) + 1)

    def add(self, results: tf.Tensor, steps: int) -> None:
        """Takes in what so many steps returned: float32 [steps, len(names)]."""
        self._results.append(results)
        self.unread += steps

    def read(self) -> Iterator[dict[str, float]]:
        """The numbers of each step that was not read yet, by name."""
        results, self._results, self.unread = self._results, [], 0
        for values in (row for rows in results for row in rows.numpy()):
            yield self._named(values)
            self.sums += [*values, 1.0]

    def means(self) -> dict[str, float]:
        """Of the steps that were read since the last `clear`."""
        return self._named(self.sums[:-1] / self.sums[-1])

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return {name: float(value) for name, value in zip(self._names, values, strict=True)}
