"""Where children run: what an engine does, whatever machines it has."""

import abc
from collections.abc import Callable, Collection

from nasnet_tf.nas.engines.outcome import Outcome


class Engine(metaclass=abc.ABCMeta):
    """Runs functions in child processes. It knows nothing of architectures: a new one inherits from this class.

    Deadlines are the engine's; retries and the truth about trials are the ledger's.
    """

    @property
    @abc.abstractmethod
    def free_slots(self) -> int:
        """Children that could start at once."""

    @abc.abstractmethod
    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child; both must be picklable."""

    def avoid(self, key: int, machines: Collection[str]) -> None:
        """Asks that the next child of this key run on none of these machines, as outcomes name them, where there are others.

        Does nothing where an engine has no choice of machines.
        """
        return

    @abc.abstractmethod
    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until something ended, or for the timeout; returns what ended."""

    @abc.abstractmethod
    def cancel(self, key: int) -> None:
        """Kills the child of this key, if it still runs; no outcome is reported for it."""

    @abc.abstractmethod
    def close(self) -> None:
        """Kills all children and waits for them."""

    def quarantine(self, machine: str) -> bool:
        """Runs no more children on a machine, as outcomes name it. Returns False, and does nothing, where there is no other machine."""
        return False
