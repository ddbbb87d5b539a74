"""How much a search may spend."""

import dataclasses

from nasnet_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds beside the number of trials; whichever is reached first ends a search. It goes on when they are raised.

    Attributes:
      max_trainings: children that are trained, 1 or more: trials but for those of known architectures, which get the reward they had, and
        failed ones. None for any number.
    """

    max_trainings: int | None = None

    def __post_init__(self):
        if self.max_trainings is not None and not (type(self.max_trainings) is int and self.max_trainings >= 1):
            raise InputError(f"search.max_trainings: expected an integer of 1 or more, or None, got {self.max_trainings!r}")
