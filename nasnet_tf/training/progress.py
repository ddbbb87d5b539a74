"""Progress of something longer than a few seconds: a bar that renews itself on a terminal, a line now and then in a log file."""

import os
import sys
import time

_TERMINAL_SECONDS, _LOG_SECONDS = 0.5, 10.0
_BAR_WIDTH = 20


class ProgressLine:
    """Prints to standard error; silent with enabled=False."""

    def __init__(self, title: str, total: int, unit: str, start: int = 0, enabled: bool = True):
        self._title, self._total, self._unit, self._start, self._enabled = title, total, unit, start, enabled
        self._began = time.monotonic()
        self._printed = 0.0
        self._is_terminal = sys.stderr.isatty()

    def update(self, done: int, **values: float) -> None:
        """done: of total, in all; values: numbers worth seeing."""
        now = time.monotonic()
        interval = _TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS
        if not self._enabled or (now - self._printed < interval and done < self._total):
            return
        self._printed = now
        parts = [f"{self._title}: {done}/{self._total} {self._unit}"]
        if done >= self._total:
            parts.append(format_seconds(now - self._began))
        elif done > self._start:
            parts.append(f"{format_seconds((now - self._began) / (done - self._start) * (self._total - done))} left")
        parts += [f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in values.items()]
        line, end = " | ".join(parts), "\n"
        if self._is_terminal:
            bar = "#" * int(_BAR_WIDTH * min(1.0, done / self._total))
            # A line that wraps could not be renewed.
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line, end = "\x1b[2K" + f"[{bar:-<{_BAR_WIDTH}}] {line}"[: columns - 1], "\r" if done < self._total else "\n"
        print(line, end=end, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """75 -> "1:15", 3675 -> "1:01:15"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
