"""What the doors evaluate, export and predict with, by the kind of task that a work folder or export is of."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.data import ImageData
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.data.objects import Picture
from nasnet_tf.detection.evaluation import DetectionEvaluation, DetectionEvaluator
from nasnet_tf.detection.misses import missed, worst
from nasnet_tf.detection.task import Detection
from nasnet_tf.models.zoo import canonical_name
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.exports.saved_detector import export_detector
from nasnet_tf.serving.hub.classifier import ClassPredictor
from nasnet_tf.serving.hub.detector import BoxPredictor
from nasnet_tf.training import work_folder
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.task import Data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES_DRAWN = 50
_PICTURES_DRAWN = 4
_DRAWN_SCORE = 0.5  # least probability of a detection that is drawn


class Predictor(Protocol):
    """What `predict` asks of a model."""

    def __call__(self, encoded: Sequence[bytes]) -> Sequence[Any]:
        """An answer to each image file's content; None for one that cannot be decoded."""

    def describe(self, answer: Any, top: int) -> tuple[str, dict]:
        """An answer as text for people and as JSON-ready fields, no more than `top` of what it has."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """Attributes:
    data: what a work folder's data.json describes.
    evaluator: of a model, as in nasnet_tf.training.task.
    notes: what `evaluate` tells of the examples of a split, (data, split) -> lines; of classifiers' data, the data does by itself.
    figures: what `evaluate` draws after an evaluation, by name.
    table: what `evaluate` prints of a result besides its one line; "" for nothing.
    results: what `evaluate` writes beside it, JSON-ready, by name.
    export: (model, what data.json says, new folder, ...) writes an export; see nasnet_tf.serving.exports.exporting.
    predictor: (name, work folder or export; weights) -> predictor.
    """

    data: Callable[[Mapping], Data]
    evaluator: Callable[[keras.Model], Any]
    notes: Callable[[Any, str], Sequence[str]]
    figures: Callable[[Any, Data], dict[str, Figure]]
    table: Callable[[Any], str]
    results: Callable[[Any], dict[str, Any]]
    export: Callable[..., dict]
    predictor: Callable[[str, str], Predictor]


def _confusion(evaluator: Evaluator, data: ImageData) -> dict[str, Figure]:
    if data.num_classes > _MOST_CLASSES_DRAWN:
        return {}
    from nasnet_tf.viz.report.training_plots import plot_confusion

    return {"confusion": plot_confusion(evaluator.confusion, data.class_names)}


def _detections(evaluator: DetectionEvaluator, data: DetectionData) -> dict[str, Figure]:
    from nasnet_tf.viz.detections import draw_gallery, plot_precision

    figures = {"precision": plot_precision(evaluator.precision, data.class_names)}
    shown = [_shown(picture, *found, data.class_names) for picture, found in evaluator.found[:_PICTURES_DRAWN]]
    lost = [
        missed(picture, boxes[scores >= _DRAWN_SCORE], classes[scores >= _DRAWN_SCORE])
        for picture, (boxes, classes, scores) in evaluator.found
    ]
    misses = [
        _shown(evaluator.found[row][0], *evaluator.found[row][1], data.class_names, lost[row]) for row in worst(lost, _PICTURES_DRAWN)
    ]
    return figures | {name: draw_gallery(rows) for name, rows in (("pictures", shown), ("misses", misses)) if rows}


def _shown(picture: Picture, boxes, classes, scores, class_names, lost=()) -> tuple:
    """A picture's pixels and what to draw on it: what was found and, named so, what was missed."""
    found = [(class_names[c], float(s), box) for box, c, s in zip(boxes, classes, scores, strict=True) if s >= _DRAWN_SCORE]
    found += [(f"missed: {class_names[picture.labels[row]]}", None, picture.boxes[row]) for row in np.flatnonzero(lost)]
    return decode_image(picture.read()).numpy(), found


KINDS = {
    Classification.kind: Kind(
        ImageData.from_description,
        Evaluator,
        lambda data, split: (),
        _confusion,
        lambda result: "",
        lambda evaluator: {},
        export,
        ClassPredictor,
    ),
    Detection.kind: Kind(
        DetectionData.from_description,
        DetectionEvaluator,
        DetectionData.notes,
        _detections,
        DetectionEvaluation.table,
        lambda evaluator: {"detections": evaluator.results},
        export_detector,
        BoxPredictor,
    ),
}


def kind_of(name_or_path: str | os.PathLike) -> Kind:
    """The kind of a work folder or an export; what is neither is the name of a network of the zoo, a classifier."""
    folder = user_path(name_or_path)
    path = folder / "data.json"
    is_folder = canonical_name(name_or_path) is None and path.is_file()
    name = work_folder.task_kind(work_folder.read_data_description(folder)) if is_folder else Classification.kind
    if name not in KINDS:
        raise InputError(f"{path}: task {name!r} is not one of those known here: {', '.join(KINDS)}")
    return KINDS[name]
