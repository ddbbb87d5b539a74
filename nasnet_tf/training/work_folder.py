"""Writes and reads the description of a training in its work folder.

model.json     the network, as Keras describes it: enough to build it again
data.json      kind of task, classes and preprocessing: enough to evaluate and use the network
training.json  the configuration values that must not change
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import keras

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import read_json, replace_file
from nasnet_tf.base.identity import Identity, flattened
from nasnet_tf.data import preprocessing_from_config
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.numerics import in_policy
from nasnet_tf.training.task import Data

# Values for keys that are missing in older work folders.
_DEFAULTS = {
    "data.json": {"task": "classification"},
    "training.json": {field.name: field.default for field in dataclasses.fields(TrainingConfig)},
}

_FIELDS = {"classification": "preprocessing", "detection": "category_ids"}  # the field of data.json that only this kind of network has


def task_kind(data_description: Mapping) -> str:
    """Returns the kind of task of a work folder or export from the content of its data.json."""
    return (_DEFAULTS["data.json"] | data_description)["task"]


def is_for(description: Mapping, task: str) -> bool:
    """Returns whether data.json describes a network that is used for this task: "classification" or "detection".

    Other tasks also train such networks, with their own losses. They describe their data in the same way.
    """
    return task_kind(description) == task or _FIELDS[task] in description


def has_several_labels(description: Mapping) -> bool:
    """Returns whether data.json describes a classifier in which each class has its own probability, from a sigmoid instead of a softmax."""
    return description.get("several_labels") is True


def describe(workdir: pathlib.Path, model: keras.Model, task: str, data: Data, config: TrainingConfig) -> None:
    """Writes model.json, data.json and training.json. If there are checkpoints, the files there must describe the same training.

    Args:
      workdir: work folder of the training.
      model: the network.
      task: kind of the task.
      data: data of the training.
      config: configuration of the training.

    Raises:
      InputError: the folder belongs to another training; the message names the first difference.
    """
    is_begun = work_folders.has_saved(workdir)
    numbers = Identity(dataclasses.asdict(config), config.MAY_CHANGE).lasting()
    for name, content, may_change in (
        ("model.json", json.loads(model.to_json()), ()),
        ("data.json", {"task": task, **data.description()}, getattr(data, "MAY_CHANGE", ())),
        ("training.json", numbers, config.MAY_CHANGE),
    ):
        path = workdir / name
        if is_begun and path.exists():
            new = Identity(flattened(json.loads(json.dumps(content))), may_change, _DEFAULTS.get(name, {}).get)
            new.check(workdir, flattened(read_object(path)), "training", name)
        replace_file(path, json.dumps(content, indent=1))


def forget_description(workdir: pathlib.Path) -> None:
    """Removes model.json and data.json, so that checkpoints can be resumed with another network of the same weights or with other data."""
    for name in ("model.json", "data.json"):
        (workdir / name).unlink(missing_ok=True)


def _shorten(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def read_object(path: pathlib.Path) -> dict:
    """Returns the JSON object in a file; raises InputError if the file is damaged."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged; expected an object, got {_shorten(content)}")
    return content


def read_data_description(workdir: pathlib.Path) -> dict:
    """Returns the content of data.json in a work folder or export, without building the network.

    Raises:
      InputError: the folder is neither a work folder nor an export, or data.json is damaged.
    """
    for name in ("model.json", "data.json"):
        if not (workdir / name).is_file():
            raise InputError(f"{workdir}: holds no trained network; expected a file {name} there")
    path = workdir / "data.json"
    return checked_data_description(read_object(path), str(path))


def checked_data_description(description: dict, place: str) -> dict:
    """Returns the content of data.json after checking it.

    Args:
      description: the content.
      place: path of the file, for the message.

    Raises:
      InputError: a classifier cannot be used with this content.
    """
    if is_for(description, "classification"):
        names = description.get("class_names")
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise InputError(f"{place}: damaged; expected a list of names as class_names, got {_shorten(names)}")
        if not isinstance(description.get("preprocessing"), dict):
            raise InputError(f"{place}: damaged; expected an object as preprocessing, got {_shorten(description.get('preprocessing'))}")
        try:
            preprocessing_from_config(description["preprocessing"])
        except InputError as error:
            raise InputError(f"{place}: damaged; {error}") from error
    return description


def read_description(workdir: pathlib.Path, dtype_policy: str | None = None) -> tuple[keras.Model, dict]:
    """Returns the network of a work folder or export with fresh weights, and the content of its data.json.

    Args:
      workdir: the work folder or export.
      dtype_policy: one of numerics.POLICIES to build the network with; None for the policy of the training.

    Raises:
      InputError: the folder is neither a work folder nor an export, a file is damaged, or the policy is unknown.
    """
    description = read_data_description(workdir)
    from nasnet_tf.models.description import network_from_json  # noqa: PLC0415

    path = workdir / "model.json"
    text = path.read_text(errors="replace")
    model = network_from_json(text, str(path))
    if dtype_policy is not None:  # building the network once has shown that its description is valid
        model = network_from_json(json.dumps(in_policy(json.loads(text), dtype_policy)), str(path))
    logits = next((layer for layer in model.layers if layer.name == "logits"), None)
    classes = len(description.get("class_names", []))
    if logits is not None and logits.units != classes:
        raise InputError(f"{workdir}: data.json names {classes} classes, the network of model.json has {logits.units}; damaged or mixed up")
    return model, description
