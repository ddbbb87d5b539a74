"""The description of a training in its work folder, and reading it back.

model.json     the network, as Keras describes it: enough to build it again
data.json      the kind of task, classes, preprocessing: enough to evaluate and use it
training.json  the numbers of the configuration that must not change
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

# What work folders from before there was more do not say.
_DEFAULTS = {
    "data.json": {"task": "classification"},
    "training.json": {field.name: field.default for field in dataclasses.fields(TrainingConfig)},
}

_FIELDS = {"classification": "preprocessing", "detection": "category_ids"}  # of data.json, which no other kind of network has


def task_kind(data_description: Mapping) -> str:
    """The kind of task that a work folder or export is of."""
    return (_DEFAULTS["data.json"] | data_description)["task"]


def is_for(description: Mapping, task: str) -> bool:
    """Whether data.json describes a network that is used as one of this task: "classification" or "detection".

    Other tasks train such networks too, with losses of their own. Their data is described in the same way.
    """
    return task_kind(description) == task or _FIELDS[task] in description


def has_several_labels(description: Mapping) -> bool:
    """Whether data.json describes a classifier whose classes have probabilities of their own, by sigmoids instead of one softmax."""
    return description.get("several_labels") is True


def describe(workdir: pathlib.Path, model: keras.Model, task: str, data: Data, config: TrainingConfig) -> None:
    """Writes model.json, data.json and training.json; where there are checkpoints, only for the same network, data and configuration.

    Raises:
      InputError: the folder belongs to another training; the first difference is named.
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
    """Lets a folder's checkpoints be gone on from with another network of the same weights, or with other data."""
    for name in ("model.json", "data.json"):
        (workdir / name).unlink(missing_ok=True)


def _shorten(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def read_object(path: pathlib.Path) -> dict:
    """What a file with a JSON object holds; InputError where it is damaged."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged; expected an object, got {_shorten(content)}")
    return content


def read_data_description(workdir: pathlib.Path) -> dict:
    """What a work folder or export says of its data; no network is built.

    Raises:
      InputError: not such a folder, or a damaged file.
    """
    for name in ("model.json", "data.json"):
        if not (workdir / name).is_file():
            raise InputError(f"{workdir}: holds no trained network; expected a file {name} there")
    path = workdir / "data.json"
    return checked_data_description(read_object(path), str(path))


def checked_data_description(description: dict, place: str) -> dict:
    """Returns what data.json says; raises InputError, with its place, if it says nothing that a network of its task can be used with."""
    if is_for(description, "classification"):
        names = description.get("class_names")
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise InputError(f"{place}: damaged; expected class_names, a list of names, got {_shorten(names)}")
        if not isinstance(description.get("preprocessing"), dict):
            raise InputError(f"{place}: damaged; expected preprocessing, an object, got {_shorten(description.get('preprocessing'))}")
        try:
            preprocessing_from_config(description["preprocessing"])
        except InputError as error:
            raise InputError(f"{place}: damaged; {error}") from error
    return description


def read_description(workdir: pathlib.Path, dtype_policy: str | None = None) -> tuple[keras.Model, dict]:
    """The network of a work folder or export with fresh weights, and the description of its data.

    Args:
      dtype_policy: one of precision.POLICIES to build it in; without, as in training.

    Raises:
      InputError: not such a folder, or damaged files.
    """
    description = read_data_description(workdir)
    from nasnet_tf.models.description import network_from_json  # noqa: PLC0415

    path = workdir / "model.json"
    text = path.read_text(errors="replace")
    model = network_from_json(text, str(path))
    if dtype_policy is not None:  # what was just built is sound
        model = network_from_json(json.dumps(in_policy(json.loads(text), dtype_policy)), str(path))
    logits = next((layer for layer in model.layers if layer.name == "logits"), None)
    classes = len(description.get("class_names", []))
    if logits is not None and logits.units != classes:
        raise InputError(f"{workdir}: data.json names {classes} classes, the network of model.json has {logits.units}; damaged or mixed up")
    return model, description
