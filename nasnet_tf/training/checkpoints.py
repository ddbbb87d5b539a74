"""What a training keeps in its work folder, and reading it back.

model.json                the network, as Keras describes it: enough to build it again
data.json                 the kind of task, classes, preprocessing: enough to evaluate and use it
checkpoints/last-<step>.* everything needed to go on, the newest two
checkpoints/best-<step>.* the same at the best evaluation so far
metrics.jsonl, logs/      losses and accuracies, as rows and for TensorBoard
"""

import json
import math
import pathlib
import re
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.errors import InputError, reason
from nasnet_tf.training.disk import writing
from nasnet_tf.training.ema import WeightAverage
from nasnet_tf.training.variables import UNREADABLE, load_named_weights, named_counters, named_weights


class Checkpoints:
    """The checkpoints of one training. Make it after the model's and the optimizer's variables, in the scope of the strategy."""

    def __init__(
        self,
        workdir: pathlib.Path,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        average: WeightAverage | None,
        window: np.ndarray,
    ):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.best_score = tf.Variable(-math.inf, trainable=False, name="best_score")
        self.window = tf.Variable(window, dtype=tf.float64, trainable=False, name="window")
        parts = {"average": average} if average else {}
        self._checkpoint = tf.train.Checkpoint(
            weights=named_weights(model),
            counters=named_counters(model),
            optimizer=optimizer,
            step=self.step,
            best_accuracy=self.best_score,  # its name in work folders since the first
            window=self.window,
            **parts,
        )
        self._folder = workdir / "checkpoints"

    def restore(self) -> int:
        """Restores the newest readable checkpoint; returns its step, 0 where there is none."""
        candidates = [str(self._folder / f"last-{step}") for step in reversed(_steps(self._folder, "last"))]
        for path in candidates:
            try:
                self._checkpoint.read(path).assert_existing_objects_matched()
                return int(self.step.numpy())
            except (*UNREADABLE, AssertionError) as error:
                print(f"warning: checkpoint {path} cannot be read ({reason(error)}); trying the one before", file=sys.stderr)
        if candidates:
            raise InputError(f"{self._folder}: none of the checkpoints there can be read: {', '.join(candidates)}")
        return 0

    def save(self, step: int, window: Sequence[float]) -> None:
        """Saves the newest checkpoint; the one before it stays.

        Raises:
          OSError: it cannot be written, because the disk is full, say; those before it stay whole.
        """
        self.step.assign(step)
        self.window.assign(window)
        self._write("last", step, keep=2)

    def save_if_best(self, step: int, score: float) -> None:
        """Replaces the best checkpoint if none before had a higher score; of equals the later is better trained. Raises as save does."""
        if score < float(self.best_score.numpy()):
            return
        self.best_score.assign(score)
        self.step.assign(step)
        self._write("best", step, keep=1)

    def _write(self, kind: str, step: int, keep: int) -> None:
        """Writes a checkpoint, then removes all but the last few up to it, and what kills have left half written."""
        with writing(f"{kind} checkpoint, of step {step}, in {self._folder}"):
            self._checkpoint.write(str(self._folder / f"{kind}-{step}"))
        kept = [other for other in _steps(self._folder, kind) if other <= step][-keep:]
        for path in self._folder.iterdir():
            match = re.fullmatch(rf"{kind}-(\d+)(\.(index|data|temp).*|_temp)", path.name)
            if match and int(match[1]) not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _steps(folder: pathlib.Path, kind: str) -> list[int]:
    """The steps of the checkpoints of a kind, ascending. TensorFlow writes the index last: without one there is no checkpoint."""
    matches = [re.fullmatch(rf"{kind}-(\d+)\.index", path.name) for path in folder.glob(f"{kind}-*.index")]
    return sorted(int(match[1]) for match in matches if match)


_DEFAULTS = {"data.json": {"task": "classification"}}  # of work folders from before there were others


def task_kind(data_description: Mapping) -> str:
    """The kind of task that a work folder or export is of."""
    return (_DEFAULTS["data.json"] | data_description)["task"]


def describe(workdir: pathlib.Path, model: keras.Model, data_description: dict) -> None:
    """Writes model.json and data.json, or checks that those there are of the same network and data.

    Raises:
      InputError: the folder belongs to another training; the first difference is named.
    """
    model_description = json.loads(model.to_json())
    for name, new in (("model.json", model_description), ("data.json", data_description)):
        path = workdir / name
        new = json.loads(json.dumps(new))
        if path.exists():
            difference = first_difference(_DEFAULTS.get(name, {}) | read_json(path), new)
            if difference:
                raise InputError(f"{workdir}: holds a training of another network or data: {name}, {difference}; use another work folder")
        else:
            temporary = path.with_suffix(".tmp")
            with writing(f"file {path}"):
                temporary.write_text(json.dumps(new, indent=1))
                temporary.rename(path)


def first_difference(old, new, place: str = "") -> str | None:
    """Where two JSON values first differ, as "place: was A, is B"; None where they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(f"{place}.{key}" if place else str(key), old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{place}[{index}]", *pair) for index, pair in enumerate(zip(old, new, strict=True))]
    else:
        return None if old == new else f"{place}: was {_shorten(old)}, is {_shorten(new)}"
    return next((found for found in (first_difference(a, b, where) for where, a, b in pairs) if found), None)


def _shorten(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def read_json(path: pathlib.Path):
    """What a JSON file holds; InputError where it is damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged; cannot be read as JSON ({error})") from error


def read_data_description(workdir: pathlib.Path) -> dict:
    """What a work folder or export says of its data; no network is built.

    Raises:
      InputError: not such a folder, or a damaged file.
    """
    for name in ("model.json", "data.json"):
        if not (workdir / name).is_file():
            raise InputError(f"{workdir}: holds no trained network; expected a file {name} there")
    path = workdir / "data.json"
    description = read_json(path)
    if not isinstance(description, dict):
        raise InputError(f"{path}: damaged; expected an object, got {_shorten(description)}")
    if task_kind(description) == "classification":
        names = description.get("class_names")
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise InputError(f"{path}: damaged; expected class_names, a list of names, got {_shorten(names)}")
        if not isinstance(description.get("preprocessing"), dict):
            raise InputError(f"{path}: damaged; expected preprocessing, an object, got {_shorten(description.get('preprocessing'))}")
    return description


def read_description(workdir: pathlib.Path) -> tuple[keras.Model, dict]:
    """The network of a work folder or export with fresh weights, and the description of its data.

    Raises:
      InputError: not such a folder, or damaged files.
    """
    description = read_data_description(workdir)
    from nasnet_tf.models.description import network_from_json  # noqa: PLC0415

    path = workdir / "model.json"
    model = network_from_json(path.read_text(errors="replace"), str(path))
    logits = next((layer for layer in model.layers if layer.name == "logits"), None)
    classes = len(description.get("class_names", []))
    if logits is not None and logits.units != classes:
        raise InputError(f"{workdir}: data.json names {classes} classes, the network of model.json has {logits.units}; damaged or mixed up")
    return model, description


def load_trained(
    workdir: pathlib.Path, model: keras.Model, which: str = "best", use_ema: bool = True, without: Collection[str] = ()
) -> int:
    """Sets the model's weights from a training's checkpoint; returns its step.

    Args:
      which: "best" or "last".
      use_ema: take the moving averages where the training kept them.
      without: names of layers that keep their weights.
    """
    steps = _steps(workdir / "checkpoints", which)
    if not steps:
        raise InputError(f"{workdir}: holds no {which} checkpoint; expected checkpoints/{which}-<step>.index there")
    path = str(workdir / "checkpoints" / f"{which}-{steps[-1]}")
    try:
        has_averages = any(name.startswith("average/") for name, _ in tf.train.list_variables(path))
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as a checkpoint: {reason(error)}") from error
    load_named_weights(path, model, "average/averages" if use_ema and has_averages else "weights", without)
    return steps[-1]
