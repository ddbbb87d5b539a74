"""Reads the search space of an earlier search from its journal."""

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
      identity: identity in the journal; parameters of SearchSpace that it does not bind have their defaults.
      trials: trials of the journal.

    Raises:
      InputError: the identity does not describe a search space, or the trials do not belong to that space.
    """
    try:
        values = {name.removeprefix(_PREFIX): ast.literal_eval(str(text)) for name, text in identity.items() if name.startswith(_PREFIX)}
        space = SearchSpace(**values)
    except (ValueError, SyntaxError, TypeError) as error:
        raise InputError(f"cannot read the search space from the journal: {error}") from error
    for trial in trials[:1]:
        if len(trial.decisions) != len(space.sizes) or space.encode(trial.genotype) != tuple(trial.decisions):
            raise InputError("cannot read the search space from the journal: its trials do not belong to the space in its first line")
    return space
