"""What a training keeps in its work folder, and reading it back.

model.json                the network, as Keras describes it: enough to build it again
data.json                 the kind of task, classes, preprocessing: enough to evaluate and use it
training.json             the numbers of the configuration that must not change
checkpoints/last-<step>.* everything needed to go on, the newest two
checkpoints/best-<step>.* that of the best evaluation so far; a link where it is also one of the newest
metrics.jsonl, logs/      losses and accuracies, as rows and for TensorBoard
"""

import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf import claims
from nasnet_tf.data import preprocessing_from_config
from nasnet_tf.errors import InputError, reason
from nasnet_tf.files import replace_file
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.disk import writing
from nasnet_tf.training.precision import in_policy
from nasnet_tf.training.shadow import Shadow
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.variables import UNREADABLE, load_named_weights, named_counters, named_weights, open_checkpoint


class Checkpoints:
    """The checkpoints of one training, written in the background. Make it after the training's variables, in the scope of the strategy.

    Attributes:
      step: that of the last checkpoint restored or saved.
      window: what the next row of metrics is a mean of.
    """

    def __init__(self, workdir: pathlib.Path, state: TrainingState, window: np.ndarray):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.window = tf.Variable(window, dtype=tf.float64, trainable=False, name="window")
        self._best_score = tf.Variable(-math.inf, trainable=False, name="best_score")
        parts = {"average": state.average, "loss_scale": state.loss_scale}
        self._checkpoint = tf.train.Checkpoint(
            weights=named_weights(state.model),
            counters=named_counters(state.model),
            optimizer=state.optimizer,
            step=self.step,
            best_accuracy=self._best_score,  # its name in work folders since the first
            window=self.window,
            **{name: part for name, part in parts.items() if part is not None},
        )
        self._folder = workdir / "checkpoints"
        self._shadow: Shadow | None = None
        self._writer = ThreadPoolExecutor(1)
        self._under_way: Future | None = None

    def restore(self) -> int:
        """Restores the newest readable checkpoint; returns its step, 0 where there is none."""
        candidates = [str(self._folder / f"last-{step}") for step in reversed(_steps(self._folder, "last"))]
        for path in candidates:
            try:
                open_checkpoint(path)
                self._checkpoint.read(path).assert_existing_objects_matched()
                return int(self.step.numpy())
            except (*UNREADABLE, AssertionError) as error:
                print(f"warning: checkpoint {path} cannot be read ({reason(error)}); trying the one before", file=sys.stderr)
        if candidates:
            raise InputError(f"{self._folder}: none of the checkpoints there can be read: {', '.join(candidates)}")
        return 0

    def save(self, step: int, window: Sequence[float], score: float | None = None) -> None:
        """Begins to save the newest checkpoint; the one before it stays. Values are those of the call, whatever is trained meanwhile.

        Args:
          score: of an evaluation at this step, if there was one. If none before was higher, the checkpoint is the best one too: of equals
            the later is better trained.

        Raises:
          OSError: the one before could not be written, because the disk is full, say; those before it stay whole.
        """
        self.wait()
        is_best = score is not None and score >= float(self._best_score.numpy())
        if is_best:
            self._best_score.assign(score)
        self.step.assign(step)
        self.window.assign(window)
        if self._shadow is None:
            self._shadow = Shadow(self._checkpoint)
        else:
            self._shadow.update()
        self._under_way = self._writer.submit(self._write, step, is_best)

    def wait(self) -> None:
        """Returns when everything is on the disk; raises what `save` raises."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def close(self) -> None:
        """Waits, and ends the thread that writes; raises what `save` raises."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def _write(self, step: int, is_best: bool) -> None:
        # The best one first: a last one without it would say that there was nothing better than the one before.
        first = "best" if is_best else "last"
        with writing(f"{first} checkpoint, of step {step}, in {self._folder}"):
            self._shadow.checkpoint.write(str(self._folder / f"{first}-{step}"))
            if is_best:
                _link(self._folder, f"best-{step}", f"last-{step}")
                self._clean_up("best", step, keep=1)
            self._clean_up("last", step, keep=2)

    def _clean_up(self, kind: str, step: int, keep: int) -> None:
        """Removes all but the last few up to a step, and what kills have left half written."""
        kept = [other for other in _steps(self._folder, kind) if other <= step][-keep:]
        for path in self._folder.iterdir():
            match = re.fullmatch(rf"{kind}-(\d+)(\.(index|data|temp|link).*|_temp)", path.name)
            if match and int(match[1]) not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _link(folder: pathlib.Path, old: str, new: str) -> None:
    """Gives a checkpoint a second name, on disks without links a copy; what makes it one, the index, comes last."""
    for path in [*folder.glob(f"{old}.data-*"), folder / f"{old}.index"]:
        name = path.name.replace(old, new, 1)
        temporary = folder / f"{new}.link"
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copy2(path, temporary)
        temporary.replace(folder / name)


def _steps(folder: pathlib.Path, kind: str) -> list[int]:
    """The steps of the checkpoints of a kind, ascending. TensorFlow writes the index last: without one there is no checkpoint."""
    matches = [re.fullmatch(rf"{kind}-(\d+)\.index", path.name) for path in folder.glob(f"{kind}-*.index")]
    return sorted(int(match[1]) for match in matches if match)


# What work folders from before there was more do not say.
_DEFAULTS = {
    "data.json": {"task": "classification"},
    "training.json": {field.name: field.default for field in dataclasses.fields(TrainingConfig)},
}
# May change between two runs of one training, besides what claims.py says of all work folders.
_NOT_IDENTITY = ("evaluation_split", "evaluate_every_epochs")


def task_kind(data_description: Mapping) -> str:
    """The kind of task that a work folder or export is of."""
    return (_DEFAULTS["data.json"] | data_description)["task"]


def describe(workdir: pathlib.Path, model: keras.Model, data_description: dict, config: TrainingConfig) -> None:
    """Writes model.json, data.json and training.json; where there are checkpoints, only of the same network, data and configuration.

    Raises:
      InputError: the folder belongs to another training; the first difference is named.
    """
    numbers = {name: value for name, value in dataclasses.asdict(config).items() if name not in _NOT_IDENTITY}
    for name, new, what in (
        ("model.json", json.loads(model.to_json()), "network or data"),
        ("data.json", data_description, "network or data"),
        ("training.json", claims.lasting(numbers, "TrainingConfig"), "configuration"),
    ):
        path = workdir / name
        new = json.loads(json.dumps(new))
        if claims.has_saved(workdir) and path.exists():
            known = _DEFAULTS.get(name, {})
            old, same = (claims.lasting(values, "ImageData") for values in (known | read_object(path), known | new))
            difference = first_difference(old, same)
            if difference:
                raise InputError(f"{workdir}: holds a training of another {what}: {name}, {difference}; take another, or remove {workdir}")
        replace_file(path, json.dumps(new, indent=1))


def forget_description(workdir: pathlib.Path) -> None:
    """Lets a folder's checkpoints be gone on from with another network of the same weights, or with other data."""
    for name in ("model.json", "data.json"):
        (workdir / name).unlink(missing_ok=True)


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


def read_object(path: pathlib.Path) -> dict:
    """The same, of a file that holds a JSON object."""
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
    description = read_object(path)
    if task_kind(description) == "classification":
        names = description.get("class_names")
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise InputError(f"{path}: damaged; expected class_names, a list of names, got {_shorten(names)}")
        if not isinstance(description.get("preprocessing"), dict):
            raise InputError(f"{path}: damaged; expected preprocessing, an object, got {_shorten(description.get('preprocessing'))}")
        try:
            preprocessing_from_config(description["preprocessing"])
        except InputError as error:
            raise InputError(f"{path}: damaged; {error}") from error
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


def load_trained(
    workdir: pathlib.Path, model: keras.Model, which: str = "best", use_ema: bool = True, without: Collection[str] = ()
) -> int:
    """Sets the model's weights from a training's checkpoint; returns its step.

    Args:
      which: "best" or "last". Where a training evaluates nothing, nothing chooses: its best is its last.
      use_ema: take the moving averages where the training kept them.
      without: names of layers that keep their weights.
    """
    folder = workdir / "checkpoints"
    which = which if _steps(folder, which) else "last"
    steps = _steps(folder, which)
    if not steps:
        raise InputError(f"{workdir}: holds no checkpoint; expected checkpoints/{which}-<step>.index there")
    path = str(workdir / "checkpoints" / f"{which}-{steps[-1]}")
    has_averages = any(name.startswith("average/") for name in open_checkpoint(path).get_variable_to_shape_map())
    load_named_weights(path, model, "average/averages" if use_ema and has_averages else "weights", without)
    return steps[-1]
