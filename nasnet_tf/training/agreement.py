"""Stopping and saving at the same step of all workers, though signals and clocks are those of one."""

import tensorflow as tf

from nasnet_tf.training.distribution import is_chief, num_workers

_SAVE, _STOP = 1.0, 4096.0  # sums over up to 4,095 replicas keep apart


class Agreement:
    """Each step carries a number of each worker and returns their sum, which tells all of them after the next step what was asked for."""

    def __init__(self, strategy: tf.distribute.Strategy):
        self._is_alone = num_workers(strategy) == 1
        self._is_chief = is_chief()
        self._before: tf.Tensor | None = None
        self._was_save = False

    def request(self, stop: bool, save: bool) -> float:
        """What this worker asks for: anyone may ask to stop; to save, the chief."""
        return _STOP * stop + _SAVE * (save and self._is_chief)

    def reach(self, stop: bool, save: bool, results: tf.Tensor) -> tuple[bool, bool]:
        """(whether to stop, whether to save) now, after the steps whose numbers are float32 [steps, ...], their requests last."""
        if self._is_alone:
            return stop, save
        before, self._before = self._before, results
        requests = 0.0 if before is None else before.numpy()[-1, -1]
        # When a save was agreed upon, the steps under way had asked for the same one.
        self._was_save = requests % _STOP >= _SAVE and not self._was_save
        return requests >= _STOP, self._was_save
