"""The interface of engines, which run children in processes on one or several machines."""

import abc
from collections.abc import Callable, Collection

from nasnet_tf.nas.engines.outcome import Outcome


class Engine(metaclass=abc.ABCMeta):
    """Base class of engines, which run functions in child processes.

    An engine knows nothing about architectures. It enforces deadlines; retries and the state of trials are the ledger's task.
    """

    @property
    @abc.abstractmethod
    def free_slots(self) -> int:
        """Number of children that could start now."""

    @abc.abstractmethod
    def submit(self, key: int, function: Callable[..., dict], *args) -> None:
        """Starts function(*args) in a child.

        Args:
          key: identifies the child in its `Outcome`.
          function: picklable; returns the value of the `Outcome`.
          *args: picklable.
        """

    def avoid(self, key: int, machines: Collection[str]) -> None:
        """Asks that the next child submitted under `key` does not run on `machines`, unless there are no others.

        An engine of a single machine ignores this.

        Args:
          key: as for `submit`.
          machines: names of machines, as in `Outcome.machine`.
        """
        return

    @abc.abstractmethod
    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Waits until a child ends or the timeout passes, and returns the outcomes of the children that have ended."""

    @abc.abstractmethod
    def cancel(self, key: int) -> None:
        """Kills the child of `key` if it is still running; no outcome is reported for it."""

    @abc.abstractmethod
    def close(self) -> None:
        """Kills all children and waits for them."""

    def quarantine(self, machine: str) -> bool:
        """Starts no more children on a machine; children that are running there continue.

        Args:
          machine: its name, as in `Outcome.machine`.

        Returns:
          True, or False without any effect if there is no other machine.
        """
        return False
