"""The space of a search that has been, as its journal says it."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.trials.trial import Trial

_PREFIX = "SearchSpace."


def space_of(identity: Mapping[str, Any], trials: Sequence[Trial]) -> SearchSpace:
    """Returns the space that the trials of a journal were drawn from.

    Args:
      identity: of the journal; what it does not bind has the default of SearchSpace.
      trials: of the journal.

    Raises:
      InputError: the identity says no space, or one that the trials are not of.
    """
    try:
        values = {name.removeprefix(_PREFIX): ast.literal_eval(str(text)) for name, text in identity.items() if name.startswith(_PREFIX)}
        space = SearchSpace(**values)
    except (ValueError, SyntaxError, TypeError) as error:
        raise InputError(f"the journal does not say its search space: {error}") from error
    for trial in trials[:1]:
        if len(trial.decisions) != len(space.sizes) or space.encode(trial.genotype) != tuple(trial.decisions):
            raise InputError("the journal does not say its search space: its trials are of another one than its settings say")
    return space
