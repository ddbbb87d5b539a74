"""Pictures with boxes: what all kinds of annotation come to, and the rules for what is odd in them, counted and named."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nasnet_tf.base.errors import InputError

_NAMED = 3  # examples of each oddity in its note
_MOST = 2**62


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture and what is on it, as its file says; boxes float64 [n, 4] as (ymin, xmin, ymax, xmax) in pixels of the picture.

    Attributes:
      path: of the image file; of a picture without one, what to call it.
      image_id: by which results name it, as its annotation has it.
      labels: int32 [n], 0 and up.
      is_crowd: bool [n], a region of many that are not counted one by one: no object in training, ignored in evaluation.
      area: float64 [n], of the object, in pixels; COCO's is that of its outline.
      size: (height, width) as the annotation says; None if it does not.
      record: reads the encoded image where it is no file of its own.
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
        """The encoded image.

        Raises:
          InputError: it cannot be read.
        """
        try:
            return self.record() if self.record else self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

    @property
    def name(self) -> str:
        """What to call it in a message, and in results."""
        return self.path.name


class Notes:
    """Counts what is odd, by rule, and remembers a few of each."""

    def __init__(self):
        self._found: dict[str, list[str]] = {}

    def add(self, rule: str, what: str) -> None:
        """rule: what is odd and what is done about it."""
        self._found.setdefault(rule, []).append(what)

    def lines(self) -> list[str]:
        """A line for each rule that was needed: how often, and where first."""
        lines = []
        for rule, places in self._found.items():
            more = ", ..." if len(places) > _NAMED else ""
            lines.append(f"{len(places)} x {rule}: {', '.join(places[:_NAMED])}{more}")
        return lines


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A data set of pictures with boxes.

    Attributes:
      name: by which it was opened.
      class_names, category_ids: of the labels 0, 1, ...; ids are those of the annotation, which may have gaps.
      splits: the pictures of each split, in an order that never changes.
      notes: what was odd in each split.
    """

    name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    splits: Mapping[str, Sequence[Picture]]
    notes: Mapping[str, Notes]


def training_objects(picture: Picture, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What of a picture of this size can be trained on: boxes clipped to it, without the empty ones; crowds have label -2.

    Returns:
      float32 [n, 4] normalized, int32 [n].
    """
    size = np.array([height, width, height, width], np.float64)
    boxes = np.clip(picture.boxes.reshape(-1, 4), 0, size)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    labels = np.where(picture.is_crowd, -2, picture.labels)
    return (boxes[kept] / size).astype(np.float32), labels[kept].astype(np.int32)


def make_picture(
    path: pathlib.Path, image_id: int | str, rows: Sequence[tuple], size: tuple[int, int] | None, notes: Notes, record=None
) -> Picture:
    """A picture of rows (box (ymin, xmin, ymax, xmax), label, is_crowd, area), with notes on what training will do with odd ones."""
    boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    if not len(rows):
        notes.add("pictures without boxes, trained on as background", path.name)
    for box, _, is_crowd, _ in rows:
        if box[2] <= box[0] or box[3] <= box[1]:
            notes.add("boxes without height or width: not trained on, in evaluation never found", f"{path.name} {_text(box)}")
        elif size is not None and (box[2] <= 0 or box[3] <= 0 or box[0] >= size[0] or box[1] >= size[1]):
            notes.add("boxes outside their picture: not trained on", f"{path.name} {_text(box)}")
        elif size is not None and (min(box[:2]) < 0 or box[2] > size[0] or box[3] > size[1]):
            notes.add("boxes that reach beyond their picture: clipped in training", f"{path.name} {_text(box)}")
        if is_crowd:
            notes.add("crowds: no objects in training, ignored in evaluation", path.name)
    labels, crowds, area = ([row[field] for row in rows] for field in (1, 2, 3))
    return Picture(path, image_id, boxes, np.array(labels, np.int32), np.array(crowds, bool), np.array(area, np.float64), size, record)


def check_pictures(name: str, splits: Mapping[str, Sequence[Picture]], class_names: Sequence[str]) -> None:
    """InputError where there is nothing to work with."""
    if not class_names:
        raise InputError(f"data set {name!r}: its annotations name no categories")
    for split, pictures in splits.items():
        if not pictures:
            raise InputError(f"data set {name!r}: split {split!r} has no picture that is there")


def is_number(value) -> bool:
    """Whether a value of an annotation is a finite number, and none beyond all pictures and ids."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST


def _text(box) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
