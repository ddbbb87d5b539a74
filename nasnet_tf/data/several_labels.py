"""Multi-label data: images with any number of labels each, from tables."""

import dataclasses
import functools
import random
from typing import Self

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.values import expect
from nasnet_tf.data.labels import SEPARATOR, labels_in, lacking
from nasnet_tf.data.pipeline import ImageData
from nasnet_tf.data.preparing import TABLE_PREFIX
from nasnet_tf.data.sources import Source, source_of_files
from nasnet_tf.data.split_names import with_our_names
from nasnet_tf.data.tables import read_rows


@dataclasses.dataclass(frozen=True)
class MultiLabelData(ImageData):
    """ImageData whose examples have any number of labels each, from none to all classes.

    Batches have labels int32 [batch, num_classes]: 1 for each class of the image and 0 for the others, or -1 for all classes of a training
    image that could not be decoded.

    Attributes:
      label_separator: the text between the labels in a cell of a table.
    """

    label_separator: str = SEPARATOR

    def __post_init__(self):
        super().__post_init__()
        expect(self.label_separator != "", "label_separator", "at least one character", self.label_separator)

    @classmethod
    def of(cls, data: ImageData, label_separator: str) -> Self:
        """Returns the same data, read with several labels per image."""
        fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(ImageData)}
        return cls(**fields, label_separator=label_separator)

    @functools.cached_property
    def _source(self) -> Source:
        if not self.source.startswith(TABLE_PREFIX):
            raise InputError(f"data set {self.source!r}: expected {TABLE_PREFIX}FILE or {TABLE_PREFIX}FOLDER for several labels per image")
        return _source(self.source, self.label_separator)

    @property
    def _label_shape(self) -> tuple[int, ...]:
        return (self.num_classes,)

    def _label_mistake(self, label: np.ndarray) -> str | None:
        return None

    def _counts(self, split: str) -> np.ndarray:
        """Returns the number of images that have each label in a split of the source or a slice of one, int64 [num_classes]."""
        return sum(labels.sum(axis=0, dtype=np.int64) for labels in self._source.labels(split))

    def check_several(self) -> None:
        """Raises InputError if each training image has one label, which suggests that the table has another separator."""
        if all((labels.sum(axis=1) == 1).all() for labels in self._source.labels(self._slice("train"))):
            raise InputError(
                f"data set {self.source!r}: each training image has one label, such as {self.class_names[0]!r}; expected several, or none, "
                f"with {self.label_separator!r} (MultiLabel.label_separator) between them; for one label per image, bind "
                "train.task = @Classification"
            )

    def description(self) -> dict:
        """Returns the description of ImageData with "several_labels": true, which means that each class has its own probability."""
        return {**super().description(), "several_labels": True}


def _source(name: str, separator: str) -> Source:
    """Returns the images of a table with their labels.

    Raises:
      InputError: the table has no label at all, or `train` lacks a class.
    """
    rows: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for row in read_rows(user_path(name.removeprefix(TABLE_PREFIX)), needs_label=False):
        rows.setdefault(row.split, []).append((str(row.file), labels_in(row.cell, separator)))
    rows = with_our_names(rows)
    present = {split: {label for _, labels in examples for label in labels} for split, examples in rows.items()}
    class_names = sorted(set().union(*present.values()))
    if not class_names:
        raise InputError(f"data set {name!r}: expected labels in the column `labels`, got only empty cells")
    notes = lacking(name, class_names, present)
    numbers = {label: number for number, label in enumerate(class_names)}

    def presence(labels: tuple[str, ...]) -> np.ndarray:
        row = np.zeros(len(class_names), np.uint8)
        row[[numbers[label] for label in labels]] = 1
        return row

    for split, found in rows.items():
        random.Random(split).shuffle(found)  # so that a slice is like the whole
    examples = {split: [(file, presence(labels)) for file, labels in found] for split, found in rows.items()}
    empty = sum(not labels for found in rows.values() for _, labels in found)
    notes += (f"{empty} images without a label",) if empty else ()
    return source_of_files(name, class_names, examples, (), notes)
