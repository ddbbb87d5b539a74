"""The order of examples in training: a permutation of all examples for each epoch."""

import functools

import numpy as np

_EPOCHS_KEPT = 2  # permutations in memory: a batch may hold the end of one epoch and the beginning of the next


class Order:
    """Maps positions in an endless stream of epochs to examples. The order depends only on the seed, and any position can be looked up.

    A worker or a resumed training therefore knows which examples it needs without reading others, and batches do not depend on the number
    of workers.

    Args:
      num_examples: number of examples in an epoch.
      seed: each seed gives another order, and so does each epoch.
    """

    def __init__(self, num_examples: int, seed: int):
        self._num_examples, self._seed = num_examples, seed
        self._permutation = functools.lru_cache(_EPOCHS_KEPT)(self._permutation_of)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Returns the examples, int64 [n] in 0..num_examples - 1, at positions in the stream, int64 [n] from 0."""
        epochs, places = np.divmod(places, self._num_examples)
        examples = np.empty_like(places)
        for epoch in np.unique(epochs):
            is_in_it = epochs == epoch
            examples[is_in_it] = self._permutation(int(epoch))[places[is_in_it]]
        return examples

    def _permutation_of(self, epoch: int) -> np.ndarray:
        # RandomState's numbers never change between releases of numpy. Those of its newer generators may.
        bits = np.random.MT19937(np.random.SeedSequence([self._seed % 2**64, epoch]))
        return np.random.RandomState(bits).permutation(self._num_examples)
