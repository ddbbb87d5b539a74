"""`nasnet_tf.evaluate`: accuracy and loss of a network on any data, as a call."""

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
      model_or_path: the work folder of a training, of which the best weights are taken; an export; a .keras file; a name such as "mobile";
        or a model of this package in memory, as it is now.
      data: (images, labels), a tf.data.Dataset of (image, label), "folder:PATH", "table:FILE", the name of a data set or an ImageData; see
        nasnet_tf.search. None for what a work folder was trained with. Images are prepared as the network takes them, those of an ImageData
        as it says. Classes are found by name. Labels that are integers are numbers of logits, from 0.
      split: of a data set by name, an ImageData or a work folder: "train", "validation" or "test".
      weights: of a name, as of nasnet_tf.train.
      class_names: of a model in memory or a file that does not say them: the name of each logit. Only needed where labels have names.
      batch_size: examples at a time; does not change the result.

    Returns:
      The evaluation: accuracy, top_5_accuracy, loss and examples; of a network for several labels its mean average precision and others.

    Raises:
      InputError: a mistake in the arguments, data that cannot be read, or classes that the network does not have.
    """
    expect(split in ("train", "validation", "test"), "split", "'train', 'validation' or 'test'", split)
    check_value("batch_size", batch_size, Count)
    with worded_for_python(), tempfile.TemporaryDirectory() as folder:
        source = resolve(model_or_path)
        model, description = _network(source, weights, class_names)
        task = task_of(description, source.path)
        if data is None:
            expect(isinstance(source, WorkFolder), "data", "data, for only a work folder says what to evaluate on", data)
            found = task.data.from_description(description)
        elif isinstance(data, ImageData):
            found = task.data.from_description({**description, **data.description()})
        else:
            found, split = _data(data, split, model, description, task, pathlib.Path(folder)), "test"
        if "class_names" not in description:
            raise InputError(
                f"{source.path}: does not say the names of its classes, by which those of the data are found; give class_names"
            )
        side = model.input.shape[1]
        expect(side in (None, found.image_size), "data", f"images prepared in {side} pixels, as the network takes them", found.image_size)
        names = description["class_names"]
        batch_size = min(batch_size, found.num_examples(split))  # the rest would be padding, which takes memory too
        evaluation = task.evaluator_class(model).on_split(RelabelledData(found, names), split, batch_size)
        _ = evaluation.details.mistakes  # reads their pictures while the data are there
        return evaluation


def _network(source: Source, weights: Any, class_names: Sequence[str] | None) -> tuple[keras.Model, dict]:
    """Returns the classifier, and what data.json says of it; without class_names where nobody says them."""
    if isinstance(source, LiveModel) or (isinstance(source, KerasFile) and source.own_class_names() is None):
        expect(weights == "trained", "weights", f"'trained', because {source.path} has its own", weights)
        model = classifier_of(source.network if isinstance(source, LiveModel) else source.trained(), str(source.path))
        names = {} if class_names is None else {"class_names": check_names(class_names, num_classes(model))}
        return model, {"preprocessing": source.image_preprocessing().config(), **names}
    expect(class_names is None, "class_names", f"None, because {source.path} has names of its own", class_names)
    return load_named(source, weights)


def _data(data: Any, split: str, model: keras.Model, description: dict, task: type[BindableTask], folder: pathlib.Path) -> ImageData:
    """Returns data whose split `test` is to be evaluated; sets class_names of the description where labels are numbers of logits."""
    check_data(data, "data")
    place = {"source": data, "data_dir": None}
    if not isinstance(data, str):
        if has_several_labels(description):
            raise InputError("data: expected 'table:FILE', because the network tells several labels of an image")
        examples = of_dataset("data", data) if isinstance(data, tf.data.Dataset) else of_arrays("data", *data)
        if examples.class_names is None and next(iter(examples.chunks())).num_classes:
            names = description.setdefault("class_names", [str(number) for number in range(num_classes(model))])
            examples = dataclasses.replace(examples, class_names=tuple(names))
        place = {"source": prepare(folder, {"train": examples}, may_replace=False), "data_dir": str(folder)}
        split = "train"
    splits = {"train_split": split, "test_split": split, "validation_split": None, "validation_examples": 0}
    return task.data.from_description({**description, **place, **splits})
