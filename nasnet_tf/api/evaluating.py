"""`nasnet_tf.evaluate`: measures accuracy and loss of a network on any data."""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.api.data import check_data
from nasnet_tf.api.running import worded_for_python
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, check_value, expect
from nasnet_tf.data import ImageData
from nasnet_tf.data.given import of_arrays, of_dataset
from nasnet_tf.data.writing import prepare
from nasnet_tf.recipes.tasks import task_of
from nasnet_tf.serving.exports.in_memory import check_names, classifier_of, num_classes
from nasnet_tf.serving.hub.load import load_named
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.hub.relabelling import RelabelledData
from nasnet_tf.serving.hub.source import Source
from nasnet_tf.serving.hub.sources import KerasFile, LiveModel, WorkFolder
from nasnet_tf.training.task import BindableTask
from nasnet_tf.training.work_folder import has_several_labels


def evaluate(
    model_or_path: str | os.PathLike | keras.Model,
    data: Any = None,
    *,
    split: str = "test",
    weights: str | os.PathLike | None = "trained",
    class_names: Sequence[str] | None = None,
    batch_size: int = 100,
) -> Any:
    """Measures a classifier on every example of your data, as `nasnet evaluate` does.

    Args:
      model_or_path: the work folder of a training, whose best weights are loaded; an export; a .keras file; a name such as "mobile"; or a
        model of this package in memory.
      data: (images, labels), a tf.data.Dataset of (image, label), "folder:PATH", "table:FILE", the name of a data set or an ImageData; see
        nasnet_tf.search. None for the data that a work folder was trained with. Images are prepared as the network takes them, those of an
        ImageData as it specifies. Classes are matched by name. Labels that are integers are indices of logits, from 0.
      split: for a data set by name, an ImageData or a work folder: "train", "validation" or "test".
      weights: weights of a named network, as for nasnet_tf.train.
      class_names: for a model in memory or a file without names: the name of each logit. Only needed if the labels are names.
      batch_size: number of examples at a time; does not change the result.

    Returns:
      The evaluation: accuracy, top_5_accuracy, loss and examples; for a network of several labels, mean average precision and others.

    Raises:
      InputError: an argument is wrong, the data cannot be read, or the network lacks a class.
    """
    expect(split in ("train", "validation", "test"), "split", "'train', 'validation' or 'test'", split)
    check_value("batch_size", batch_size, Count)
    with worded_for_python(), tempfile.TemporaryDirectory() as folder:
        source = resolve(model_or_path)
        model, description = _network(source, weights, class_names)
        task = task_of(description, source.path)
        if data is None:
            expect(isinstance(source, WorkFolder), "data", "data to measure on, because only a work folder has its own data", data)
            found = task.data.from_description(description)
        elif isinstance(data, ImageData):
            found = task.data.from_description({**description, **data.description()})
        else:
            found, split = _data(data, split, model, description, task, pathlib.Path(folder)), "test"
        if "class_names" not in description:
            raise InputError(
                f"{source.path}: does not say the names of its classes, which are matched with those of the data; pass class_names"
            )
        side = model.input.shape[1]
        expect(side in (None, found.image_size), "data", f"images of {side} pixels, as the network takes them", found.image_size)
        names = description["class_names"]
        batch_size = min(batch_size, found.num_examples(split))  # padding to a larger batch would take memory
        evaluation = task.evaluator_class(model).on_split(RelabelledData(found, names), split, batch_size)
        _ = evaluation.details.mistakes  # reads the pictures before the folder is removed
        return evaluation


def _network(source: Source, weights: Any, class_names: Sequence[str] | None) -> tuple[keras.Model, dict]:
    """Returns the classifier and its data.json, which lacks class_names if they are not known."""
    if isinstance(source, LiveModel) or (isinstance(source, KerasFile) and source.own_class_names() is None):
        expect(weights == "trained", "weights", f"'trained', because {source.path} has its own weights", weights)
        model = classifier_of(source.network if isinstance(source, LiveModel) else source.trained(), str(source.path))
        names = {} if class_names is None else {"class_names": check_names(class_names, num_classes(model))}
        return model, {"preprocessing": source.image_preprocessing().config(), **names}
    expect(class_names is None, "class_names", f"None, because {source.path} has names of its own", class_names)
    return load_named(source, weights)


def _data(data: Any, split: str, model: keras.Model, description: dict, task: type[BindableTask], folder: pathlib.Path) -> ImageData:
    """Returns data whose split `test` should be evaluated; sets class_names of the description if the labels are indices of logits."""
    check_data(data, "data")
    place = {"source": data, "data_dir": None}
    if not isinstance(data, str):
        if has_several_labels(description):
            raise InputError("data: expected 'table:FILE', because the network predicts several labels for an image; got data in memory")
        examples = of_dataset("data", data) if isinstance(data, tf.data.Dataset) else of_arrays("data", *data)
        first = next(iter(examples.chunks()), None)
        if first is None:
            raise InputError("data: expected images with labels, got none")
        if examples.class_names is None and first.num_classes:
            names = description.setdefault("class_names", [str(number) for number in range(num_classes(model))])
            examples = dataclasses.replace(examples, class_names=tuple(names))
        place = {"source": prepare(folder, {"train": examples}, may_replace=False, min_classes=1), "data_dir": str(folder)}
        split = "train"
    splits = {"train_split": split, "test_split": split, "validation_split": None, "validation_examples": 0}
    return task.data.from_description({**description, **place, **splits})
