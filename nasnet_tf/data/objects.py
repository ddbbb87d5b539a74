"""Pictures with boxes: the form into which all kinds of annotations are read, and notes about oddities in annotations."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nasnet_tf.base.errors import InputError

_MAX_NAMED = 3  # number of examples in the note about an oddity
_TOO_LARGE = 2**62  # no size or id is this large


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture and its objects, as annotated.

    Attributes:
      path: the image file; for a picture without a file of its own, its name in messages.
      image_id: the id in the annotation, by which results name the picture.
      boxes: float64 [n, 4], (ymin, xmin, ymax, xmax) in pixels of the picture.
      labels: int32 [n], from 0.
      is_crowd: bool [n], whether a box is a region of many objects that are not counted one by one. Such a region is not an object in
        training, and evaluation ignores it.
      area: float64 [n], area of the object in pixels; in COCO, the area of its outline.
      size: the annotated (height, width); None if it is not annotated.
      record: reads the encoded image if it is not a file of its own.
    """

    path: pathlib.Path
    image_id: int | str
    boxes: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    area: np.ndarray
    size: tuple[int, int] | None = None
    record: Callable[[], bytes] | None = None

    def read(self) -> bytes:
        """Returns the encoded image.

        Raises:
          InputError: it cannot be read.
        """
        try:
            return self.record() if self.record else self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

    @property
    def name(self) -> str:
        """The name of the picture in messages and results."""
        return self.path.name


class Notes:
    """Collects oddities in annotations by the rule that handles them."""

    def __init__(self):
        self._found: dict[str, list[str]] = {}

    def add(self, rule: str, what: str) -> None:
        """Adds an oddity.

        Args:
          rule: the kind of oddity and how it is handled, such as "missing pictures: left out".
          what: the picture or annotation that has it.
        """
        self._found.setdefault(rule, []).append(what)

    def lines(self) -> list[str]:
        """Returns a line for each rule that was applied: how often, and to which pictures or annotations first."""
        lines = []
        for rule, places in self._found.items():
            more = ", ..." if len(places) > _MAX_NAMED else ""
            lines.append(f"{len(places)} x {rule}: {', '.join(places[:_MAX_NAMED])}{more}")
        return lines


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A data set of pictures with boxes.

    Attributes:
      name: the name by which it was opened.
      class_names, category_ids: names and ids of the labels 0, 1, ...; ids are those in the annotations, which may have gaps.
      splits: the pictures of each split, in a fixed order.
      notes: the oddities in the annotations of each split.
    """

    name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    splits: Mapping[str, Sequence[Picture]]
    notes: Mapping[str, Notes]


def training_objects(picture: Picture, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the objects of a picture for training: boxes are clipped to the picture, and empty boxes are left out.

    Args:
      picture: the picture with its annotated boxes.
      height, width: size of the decoded picture in pixels.

    Returns:
      (boxes float32 [n, 4] as fractions of the sides, labels int32 [n], -2 for a crowd).
    """
    size = np.array([height, width, height, width], np.float64)
    boxes = np.clip(picture.boxes.reshape(-1, 4), 0, size)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    labels = np.where(picture.is_crowd, -2, picture.labels)
    return (boxes[kept] / size).astype(np.float32), labels[kept].astype(np.int32)


def make_picture(
    path: pathlib.Path, image_id: int | str, rows: Sequence[tuple], size: tuple[int, int] | None, notes: Notes, record=None
) -> Picture:
    """Returns a picture with the objects (box (ymin, xmin, ymax, xmax), label, is_crowd, area) in `rows`, and notes oddities in them."""
    boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    if not len(rows):
        notes.add("pictures without boxes: used as background in training", path.name)
    for box, _, is_crowd, _ in rows:
        if box[2] <= box[0] or box[3] <= box[1]:
            notes.add("boxes without height or width: not used in training, never found in evaluation", f"{path.name} {_text(box)}")
        elif size is not None and (box[2] <= 0 or box[3] <= 0 or box[0] >= size[0] or box[1] >= size[1]):
            notes.add("boxes outside their picture: not used in training", f"{path.name} {_text(box)}")
        elif size is not None and (min(box[:2]) < 0 or box[2] > size[0] or box[3] > size[1]):
            notes.add("boxes that reach beyond their picture: clipped in training", f"{path.name} {_text(box)}")
        if is_crowd:
            notes.add("crowds: not objects in training, ignored in evaluation", path.name)
    labels, crowds, area = ([row[field] for row in rows] for field in (1, 2, 3))
    return Picture(path, image_id, boxes, np.array(labels, np.int32), np.array(crowds, bool), np.array(area, np.float64), size, record)


def check_pictures(name: str, splits: Mapping[str, Sequence[Picture]], class_names: Sequence[str]) -> None:
    """Raises InputError if there are no categories, or if a split has no pictures."""
    if not class_names:
        raise InputError(f"data set {name!r}: expected categories in its annotations, got none")
    for split, pictures in splits.items():
        if not pictures:
            raise InputError(f"data set {name!r}: expected pictures in split {split!r}, found none")


def is_number(value) -> bool:
    """Returns whether a value in an annotation is a finite number that is not too large for a size or an id."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def _text(box) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
