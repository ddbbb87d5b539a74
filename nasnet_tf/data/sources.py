"""Opens data sets by name and reads their examples. Images stay encoded files here.

There are four kinds of names:
- `digits`, the prepared set that ships with the package;
- `folder:PATH`, images as PATH/<split>/<label>/*.jpg, or in deeper folders;
- `table:FILE`, a CSV file with the columns file, label and split; or `table:FOLDER` with such files, called train.csv, validation.csv and
  test.csv. Splits have the same roles as in a folder;
- any image classification set of TensorFlow Datasets (TFDS), which is downloaded and prepared if possible.

In a folder, `train` is for training. `validation` is for choosing among checkpoints and architectures; without it, examples are held out of
`train` for this. `test` is optional, and only evaluation uses it.
"""

import dataclasses
import functools
import os
import pathlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.files import IMAGE_SUFFIXES, files_below, image_files, shown, user_path
from nasnet_tf.data.labels import lacking, several
from nasnet_tf.data.preparing import FOLDER_PREFIX, TABLE_PREFIX, prepared_builder, prepared_folder
from nasnet_tf.data.records import ArrayRecords, TFRecords
from nasnet_tf.data.split_names import our_name, with_our_names
from nasnet_tf.data.tables import read_table

tfds = OnDemand("tensorflow_datasets")

_LAYOUT = "<split>/<label>/*.jpg, with a split `train` and optionally `validation` and `test`"
_DIGITS = pathlib.Path(__file__).parent / "digits"
_POSITION = r"-?(?:\d+|(?:100|\d{1,2})%)"
_SPLIT = re.compile(rf"(?P<name>[^\[\]]+)(\[(?P<start>{_POSITION})?:(?P<stop>{_POSITION})?\])?")
_EXAMPLES_AT_A_TIME, _LABELS_AT_A_TIME = 32, 256
RECORDS = {"tfrecord": TFRecords, "array_record": ArrayRecords}  # keys are values of tfds.core.FileFormat


Read = Callable[[str, np.ndarray], list[bytes]]


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened data set.

    Attributes:
      name: the name by which it was opened.
      class_names: the name of each label, in the order of the labels 0..len - 1.
      splits: number of examples of each split.
      is_folder: whether it is a folder or table of images, whose splits have the roles above; splits of other sets have no fixed roles.
      left_out: files in a folder that are not images.
      notes: oddities that are allowed, such as a class that a split lacks.
      read: (split name, example numbers int64 [n]) -> their records, n byte strings. Reads no other records, in any order, and is safe to
        call from several threads. Raises InputError if a file is missing or damaged.
      parse: (split name, numbers int64 [n], records string [n]) -> the examples, as `load` returns them; uses TensorFlow operations.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, int]
    read: Read = dataclasses.field(repr=False)
    parse: Callable[[str, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]] = dataclasses.field(repr=False)
    is_folder: bool = False
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def bounds(self, split: str) -> tuple[str, int, int]:
        """Returns (name, start, stop) of a split or a slice of one: `train`, `train[:45000]`, `train[-500:]`, `train[:90%]`.

        Raises:
          InputError: the expression is invalid, the split is unknown, or the slice is empty or reaches beyond the split.
        """
        match = _SPLIT.fullmatch(split)
        if not match:
            raise InputError(
                f"data set {self.name!r}: cannot read split {split!r}; "
                "expected a name or a slice of one such as 'train[:45000]' or 'train[:90%]'"
            )
        name = match["name"]
        if self.is_folder and name not in self.splits and our_name(name) in self.splits:
            name = our_name(name) or name
        if name not in self.splits:
            raise InputError(f"data set {self.name!r} has no split {name!r}; it has {', '.join(self.splits)}")
        size = self.splits[name]
        start = _position(match["start"], size, default=0)
        stop = _position(match["stop"], size, default=size)
        if not 0 <= start < stop <= size:
            raise InputError(
                f"data set {self.name!r}: split {split!r} is empty or out of range, "
                f"from example {start} to {stop}; {name!r} has {size} examples"
            )
        return name, start, stop

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of a split or of a slice of one."""
        _, start, stop = self.bounds(split)
        return stop - start

    def load(self, split: str, numbers: tf.Tensor, read: Read | None = None) -> dict[str, tf.Tensor]:
        """Loads examples of a split by their numbers, int64 [n], inside or outside the functions of a tf.data pipeline.

        Args:
          read: replaces this source's own `read`.

        Returns:
          {"image": string [n], the encoded files; "label": int64 [n], or uint8 [n, classes] if images have several labels; "name": string
          [n], the example's name in messages: its file, its id, or "train example 17", which is the first of `train[17:]`}.
        """
        records = tf.numpy_function(lambda numbers: np.array((read or self.read)(split, numbers), object), [numbers], tf.string)
        return self.parse(split, numbers, tf.ensure_shape(records, numbers.shape))

    def labels(self, split: str) -> Iterator[np.ndarray]:
        """Yields the labels of a split or of a slice of one in parts, as `load` returns them. Reads records, but no image files."""
        name, start, stop = self.bounds(split)
        for first in range(start, stop, _LABELS_AT_A_TIME):
            numbers = np.arange(first, min(stop, first + _LABELS_AT_A_TIME))
            records = [b""] * len(numbers) if self.is_folder else self.read(name, numbers)
            yield self.parse(name, tf.constant(numbers), tf.constant(records))["label"].numpy()

    def examples(self, split: str) -> tf.data.Dataset:
        """Returns the examples of a split or of a slice of one as a finite data set, in a fixed order. Elements are as in `load`."""
        name, start, stop = self.bounds(split)
        load = tf.autograph.experimental.do_not_convert(lambda numbers: self.load(name, numbers))
        return tf.data.Dataset.range(start, stop).batch(_EXAMPLES_AT_A_TIME).map(load).unbatch()


def open_source(name: str, data_dir: str | None = None) -> Source:
    """Opens a data set by its name.

    Args:
      name: `digits`, `folder:PATH`, `table:FILE`, `table:FOLDER`, or a TFDS name, which may include a config and a version:
        `cifar10`, `imagenet2012:5.1.0`.
      data_dir: the folder in which TFDS prepares its data sets; None for TFDS' default, ~/tensorflow_datasets. Data that is already
        prepared there is read without network access.

    Raises:
      InputError: the name is unknown, a folder has another layout, the data is missing and cannot be downloaded, or it does not consist
        of images and labels.
    """
    data_dir = prepared_folder(data_dir)
    if name == "digits":
        return _tfds_source(name, tfds.builder_from_directory(_DIGITS))
    if name.startswith(FOLDER_PREFIX):
        return _folder_source(name, user_path(name.removeprefix(FOLDER_PREFIX)))
    if name.startswith(TABLE_PREFIX):
        return _file_source(name, with_our_names(read_table(user_path(name.removeprefix(TABLE_PREFIX)))))
    return _tfds_source(name, prepared_builder(name, data_dir))


def record_reader(name: str, builder: "tfds.core.DatasetBuilder") -> Read:
    """Returns the function that reads single records of a prepared set, as described for Source.read.

    Raises:
      InputError: the set has a file format whose records cannot be read in any order.
    """
    kind = RECORDS.get(builder.info.file_format.value)
    if kind is None:
        raise InputError(
            f"data set {name!r}: expected a file format whose records can be read in any order, {' or '.join(RECORDS)}; "
            f"got {builder.info.file_format.value}"
        )

    @functools.cache
    def records(split: str) -> TFRecords | ArrayRecords:
        info = builder.info.splits[split]
        return kind(list(zip(map(os.fspath, info.filepaths), info.shard_lengths, strict=True)))

    return lambda split, numbers: records(split).read(numbers)


def _position(text: str | None, size: int, default: int) -> int:
    """Returns the start or stop of a slice as an index. As in TFDS, percentages are rounded and negative values count from the end."""
    if text is None:
        return default
    position = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return position + size if text.startswith("-") else position


def _tfds_source(name: str, builder: "tfds.core.DatasetBuilder") -> Source:
    image_key, label_key = _image_and_label_keys(name, builder.info)
    features = dict(builder.info.features.items())
    name_key = next((key for key in ("file_name", "id") if isinstance(features.get(key), tfds.features.Text)), None)
    keys = [key for key in (image_key, label_key, name_key) if key]
    columns = {key: tf.io.FixedLenFeature([], tf.int64 if key == label_key else tf.string) for key in keys}
    read = record_reader(name, builder)

    def parse(split: str, numbers: tf.Tensor, records: tf.Tensor) -> dict[str, tf.Tensor]:
        example = tf.io.parse_example(records, columns)
        called = example[name_key] if name_key else tf.strings.join([f"{split} example ", tf.strings.as_string(numbers)])
        return {"image": example[image_key], "label": example[label_key], "name": called}

    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    return Source(name, tuple(features[label_key].names), sizes, read, parse)


def _image_and_label_keys(name: str, info: "tfds.core.DatasetInfo") -> tuple[str, str]:
    """Returns the keys of the image and the label that the data set declares, or of its only image and its only label."""
    # Sorted, because the features of a prepared set come in a different order in each process.
    features = dict(sorted(info.features.items())) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]  # subclasses are masks, not pictures
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    declared = info.supervised_keys
    if declared and len(declared) == 2 and declared[0] in images and declared[1] in labels:
        return declared
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"data set {name!r} is not an image classification set: expected one image and one class label, "
            f"got images {images}, class labels {labels} among its features {list(features)}"
        )
    return images[0], labels[0]


def _folder_source(name: str, root: pathlib.Path) -> Source:
    expected = f"expected images as {root}/{_LAYOUT}"
    if not root.is_dir():
        raise InputError(f"data set {name!r}: no folder {root}; {expected}")
    splits = {split.name: {shown(label.name): image_files(label) for label in _folders(split)} for split in _folders(root)}
    if not splits:
        raise InputError(f"data set {name!r}: {root} has no folders of splits; {expected}")
    for split, labels in splits.items():
        if not labels:
            raise InputError(f"data set {name!r}: {root / split} has no folders of classes; {expected}")
        for label, files in labels.items():
            if not files and split in ("train", *(() if "train" in splits else splits)):
                raise InputError(f"data set {name!r}: {root / split / label} has no images; expected files {', '.join(IMAGE_SUFFIXES)}")
    read_files = {path for labels in splits.values() for files in labels.values() for path in files}
    left_out = tuple(shown(path.relative_to(root)) for path in files_below(root) if path not in read_files)
    return _file_source(name, with_our_names(splits), left_out)


def _file_source(name: str, splits: Mapping[str, Mapping[str, list[pathlib.Path]]], left_out: tuple[str, ...] = ()) -> Source:
    """Returns a source of image files, {split: {label: files}}.

    Raises:
      InputError: `train` lacks a class.
    """
    class_names = sorted(set().union(*splits.values()))
    present = {split: [label for label, files in labels.items() if files] for split, labels in splits.items()}
    notes = lacking(name, class_names, present) + (several(class_names) if name.startswith(TABLE_PREFIX) else ())
    examples = {split: rows for split, labels in splits.items() if (rows := _shuffled(split, labels, class_names))}
    return source_of_files(name, class_names, examples, left_out, notes)


def source_of_files(
    name: str, class_names: Sequence[str], examples: Mapping[str, list[tuple[str, Any]]], left_out: tuple[str, ...], notes: tuple[str, ...]
) -> Source:
    """Returns a source of image files, {split: [(path, label)]}, in this order; a label is a number, or an array if there are several."""

    @functools.cache
    def columns(split: str) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.init_scope(), tf.device("cpu:0"):  # made once, not as constants of each function that uses them
            paths, labels = zip(*examples[split], strict=True)
            return tf.constant(list(map(os.fsencode, paths))), tf.constant(np.asarray(labels))

    def read(split: str, numbers: np.ndarray) -> list[bytes]:
        return [_content(examples[split][number][0]) for number in numbers]

    def parse(split: str, numbers: tf.Tensor, records: tf.Tensor) -> dict[str, tf.Tensor]:
        paths, labels = columns(split)
        return {"image": records, "label": tf.gather(labels, numbers), "name": tf.gather(paths, numbers)}

    sizes = {split: len(rows) for split, rows in examples.items()}
    return Source(name, tuple(class_names), sizes, read, parse, is_folder=True, left_out=left_out, notes=notes)


def _content(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}") from error


def _shuffled(split: str, labels: Mapping[str, list[pathlib.Path]], class_names: list[str]) -> list[tuple[str, int]]:
    """Returns (path, label) of each file, mixed so that a slice has all classes, in an order that depends only on the files' names."""
    rows = [(str(path), class_names.index(label)) for label in class_names for path in labels.get(label, ())]
    random.Random(split).shuffle(rows)
    return rows


def _folders(parent: pathlib.Path) -> list[pathlib.Path]:
    return sorted(child for child in parent.iterdir() if child.is_dir() and not child.name.startswith("."))
