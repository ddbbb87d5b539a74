"""Turns SIGTERM, which is sent before a machine is taken away, and Ctrl-C into a flag that the training loop checks between steps."""

import signal
import threading

from nasnet_tf.base.errors import TrainingInterrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Makes SIGTERM and Ctrl-C set `requested` inside the `with` instead of ending the process. Has no effect outside the main thread.

    After Ctrl-C, the `with` turns TrainingInterrupted into KeyboardInterrupt. A second Ctrl-C raises KeyboardInterrupt at once.

    Attributes:
      requested: whether one of the signals has arrived.
    """

    def __init__(self):
        self.requested = self._by_hand = False

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        self._before = {each: signal.signal(each, self._note) for each in _SIGNALS} if is_main else {}
        return self

    def __exit__(self, kind, error, trace) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        if self._by_hand and isinstance(error, TrainingInterrupted):
            raise KeyboardInterrupt(str(error)) from error

    def _note(self, number: int, _) -> None:
        is_by_hand = number == signal.SIGINT
        if is_by_hand and self._by_hand:
            raise KeyboardInterrupt
        self.requested, self._by_hand = True, self._by_hand or is_by_hand
