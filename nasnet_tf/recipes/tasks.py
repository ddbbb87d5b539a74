"""The tasks that a model can be trained for: the bindables with Role.TASK. This module does not need gin."""

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
    """Returns the tasks by their names in data.json."""
    found = [locate(row.location) for row in BINDABLES if row.role is Role.TASK]
    return {task.kind: task for task in found}


def task_of(description: Mapping, place: str | os.PathLike) -> type[BindableTask]:
    """Returns the task that a network was trained for.

    Args:
      description: content of data.json.
      place: path of that file, for the message.

    Raises:
      InputError: the task is unknown.
    """
    kind = task_kind(description)
    if kind not in tasks():
        raise InputError(f"{place}: unknown task {kind!r}; expected one of {', '.join(tasks())}")
    return tasks()[kind]
