"""The order of training: a permutation of all examples for each epoch."""

import functools

import numpy as np

_EPOCHS_KEPT = 2  # permutations in memory: a batch may hold the end of one epoch and the beginning of the next


class Order:
    """Which example comes where in an endless stream of epochs: a function of the seed alone, for any place at once.

    As places are looked up, not passed through, a worker or a resumed training knows what it needs without reading anything else, and
    the batches are the same for any number of workers.

    Args:
      num_examples: of an epoch.
      seed: other seeds give other orders; so does every epoch.
    """

    def __init__(self, num_examples: int, seed: int):
        self._num_examples, self._seed = num_examples, seed
        self._permutation = functools.lru_cache(_EPOCHS_KEPT)(self._permutation_of)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """int64 [n] of places in the stream -> int64 [n] of examples, 0..num_examples - 1."""
        epochs, places = np.divmod(places, self._num_examples)
        examples = np.empty_like(places)
        for epoch in np.unique(epochs):
            is_in_it = epochs == epoch
            examples[is_in_it] = self._permutation(int(epoch))[places[is_in_it]]
        return examples

    def _permutation_of(self, epoch: int) -> np.ndarray:
        # RandomState's numbers never change between releases of numpy, those of its newer generators may.
        bits = np.random.MT19937(np.random.SeedSequence([self._seed % 2**64, epoch]))
        return np.random.RandomState(bits).permutation(self._num_examples)
