"""The tasks that a model can be trained for: the rows of the table of bindables with Role.TASK. Needs no gin."""

import functools
import os
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.located import locate
from nasnet_tf.recipes.bindables import BINDABLES, Role
from nasnet_tf.training.task import BindableTask
from nasnet_tf.training.work_folder import task_kind


@functools.cache
def tasks() -> dict[str, type[BindableTask]]:
    """Returns the tasks by the names that data.json has for them."""
    found = [locate(row.location) for row in BINDABLES if row.role is Role.TASK]
    return {task.kind: task for task in found}


def task_of(description: Mapping, place: str | os.PathLike) -> type[BindableTask]:
    """Returns the task that a network was trained for.

    Args:
      description: what data.json says.
      place: where it says so, for the message.

    Raises:
      InputError: an unknown task.
    """
    kind = task_kind(description)
    if kind not in tasks():
        raise InputError(f"{place}: task {kind!r} is not one of those known here: {', '.join(tasks())}")
    return tasks()[kind]
