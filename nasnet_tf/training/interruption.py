"""SIGTERM, by which machines are taken away from long jobs, as a flag that the training loop looks at between steps."""

import signal
import threading


class Interruption:
    """While inside the `with`, SIGTERM sets `requested` instead of ending the process. Without effect outside the main thread."""

    def __init__(self):
        self.requested = False

    def __enter__(self) -> "Interruption":
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_) -> None:
        if self._is_main:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_) -> None:
        self.requested = True
