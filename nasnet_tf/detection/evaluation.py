"""Evaluates detectors on a whole split with COCO's metric, computed by pycocotools (extra `detection`)."""

import contextlib
import dataclasses
import io

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.detection.drawing import draw_boxes
from nasnet_tf.training.corruption import naming_bad_data
from nasnet_tf.training.distribution import distribute

_DRAWN = 8  # number of images for TensorBoard
_DRAWN_SCORE = 0.5  # probability from which a box is drawn
# {field of DetectionEvaluation: title in tables}, in the order of pycocotools.
NUMBERS = {
    "mean_average_precision": "AP at IoU .50:.95",
    "average_precision_50": "AP at IoU .50",
    "average_precision_75": "AP at IoU .75",
    "average_precision_small": "AP, small (up to 32 x 32 pixels)",
    "average_precision_medium": "AP, medium",
    "average_precision_large": "AP, large (from 96 x 96 pixels)",
    "average_recall_1": "AR, 1 detection an image",
    "average_recall_10": "AR, 10 detections",
    "average_recall_100": "AR, 100 detections",
    "average_recall_small": "AR, small",
    "average_recall_medium": "AR, medium",
    "average_recall_large": "AR, large",
}


@dataclasses.dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's twelve metrics, each in [0, 1]; -1 if the split has no objects of the size that the metric covers.

    Attributes:
      per_class: {name of a class: mean average precision}.
      examples: number of images.
    """

    mean_average_precision: float
    average_precision_50: float
    average_precision_75: float
    average_precision_small: float
    average_precision_medium: float
    average_precision_large: float
    average_recall_1: float
    average_recall_10: float
    average_recall_100: float
    average_recall_small: float
    average_recall_medium: float
    average_recall_large: float
    per_class: dict[str, float]
    examples: int

    def __str__(self) -> str:
        return f"mAP {self.mean_average_precision:.4f}, AP50 {self.average_precision_50:.4f} on {self.examples} images"

    def table(self) -> str:
        """Returns the metrics as text, one per line, followed by the average precision of each class."""
        rows = {text: getattr(self, name) for name, text in NUMBERS.items()} | {f"AP of {n}": value for n, value in self.per_class.items()}
        width = max(map(len, rows))
        return "\n".join(f"{text:{width}}  {'-' if value < 0 else f'{value:.4f}'}" for text, value in rows.items())


class DetectionEvaluator:
    """Evaluates a model on all replicas of a strategy. The model is traced once, however often it is evaluated.

    Args:
      model: a model of build_detector.
      strategy: where to run it; None for the current strategy.

    `on_split` sets the attributes.

    Attributes:
      evaluation: the metrics of the last evaluation; None before the first one.
      results: detections as COCO's results JSON, [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}].
      found: [(picture, (boxes float [n, 4] in pixels of the picture, classes int [n], scores float [n]))], in the order of the split.
      precision: {"IoU .50" or "IoU .50:.95": precision float [101 recalls, classes]}; -1 for classes without objects.
      images: {"detections": a few images with the detected boxes drawn}, for TensorBoard.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self.evaluation: DetectionEvaluation | None = None
        self.results, self.found, self.precision, self.images = [], [], {}, {}

        def detect(images, rows, sizes):
            found = model(images, training=False)
            return found["detection_boxes"], found["detection_classes"], found["detection_scores"], found["num_detections"], rows, sizes

        @tf.function(autograph=False)
        def detect_all(batch):
            return [self._strategy.gather(values, axis=0) for values in self._strategy.run(detect, args=batch)]

        self._detect = detect_all

    def on_split(self, data: DetectionData, split: str, batch_size: int) -> DetectionEvaluation:
        """Evaluates every image of a split exactly once.

        Args:
          data: the data set.
          split: "train", "validation" or "test".
          batch_size: images per batch over all replicas; it does not change the result.

        Raises:
          InputError: an image cannot be decoded, batch_size is not a multiple of the number of replicas, or pycocotools is not installed.
        """
        _import_pycocotools()
        truth, found, sizes = data.objects(split), {}, {}
        with naming_bad_data(data, split):
            for batch in distribute(self._strategy, batch_size, lambda shard: data.evaluation(split, batch_size, shard)):
                if not found:
                    self._draw(batch)
                for boxes, classes, scores, count, row, size in zip(*(v.numpy() for v in self._detect(batch)), strict=True):
                    if row >= 0:
                        found[int(row)] = (boxes[:count] * np.tile(size, 2), classes[:count], scores[:count])
                        sizes[int(row)] = size
        self.results = [result for row in sorted(found) for result in coco_results(truth[row].image_id, *found[row], data.category_ids)]
        self.found = [(truth[row], found[row]) for row in sorted(found)]
        names = dict(zip(data.category_ids, data.class_names, strict=True))
        # pycocotools cannot sort numbers and text, so pictures have their numbers in the split as ids there.
        numbered = [result for row in sorted(found) for result in coco_results(row, *found[row], data.category_ids)]
        self.evaluation = self._measure(coco_truth(truth, sizes, names), numbered, names, len(truth))
        return self.evaluation

    def _draw(self, batch) -> None:
        """Draws detections on the first images, those of this worker's first replica."""
        images = self._strategy.experimental_local_results(batch[0])[0][:_DRAWN]
        boxes, classes, scores, *_ = self._detect(batch)
        count, size = tf.shape(images)[0], tf.cast(tf.tile(tf.shape(images)[1:3], [2]), tf.float32)
        labels = tf.where(scores[:count] >= _DRAWN_SCORE, classes[:count], -1)
        self.images = {"detections": draw_boxes(images, boxes[:count] * size, labels)}

    def _measure(self, truth: dict, results: list[dict], names: dict[int, str], examples: int) -> DetectionEvaluation:
        summary, precision = coco_metric(truth, results)
        self.precision = {"IoU .50": precision[0, :, :, 0, 2], "IoU .50:.95": precision[:, :, :, 0, 2].mean(0)}
        per_class = {name: _mean(precision[:, :, number, 0, 2]) for number, name in enumerate(names.values())}
        return DetectionEvaluation(*map(float, summary), per_class, examples)


def coco_results(image_id: int | str, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, category_ids) -> list[dict]:
    """Returns the detections of one image in the form of COCO's results JSON.

    Args:
      image_id: id of the picture.
      boxes: float [n, 4], in pixels of the picture.
      classes: int [n], 0 and up.
      scores: float [n], in [0, 1].
      category_ids: COCO's id of each class.
    """
    rows = []
    for (top, left, bottom, right), number, score in zip(boxes.tolist(), classes.tolist(), scores.tolist(), strict=True):
        box = [left, top, right - left, bottom - top]
        rows.append({"image_id": image_id, "category_id": category_ids[number], "bbox": box, "score": score})
    return rows


def coco_truth(objects, sizes: dict[int, np.ndarray], names: dict[int, str]) -> dict:
    """Returns the objects of a split in the form of COCO's annotations JSON.

    The id of a picture is its index in the split. Objects are renumbered from 1, because pycocotools treats the id 0 as no match, and
    objects with equal ids as one.

    Args:
      objects: pictures with their objects, in the order of the split.
      sizes: {index of a picture: (height, width)}.
      names: {COCO's id of a class: its name}, in the order of the labels.
    """
    annotations, ids = [], list(names)
    for number, image in enumerate(objects):
        for (top, left, bottom, right), label, is_crowd, area in zip(image.boxes, image.labels, image.is_crowd, image.area, strict=True):
            box = [float(left), float(top), float(right - left), float(bottom - top)]
            row = {"id": len(annotations) + 1, "image_id": number, "category_id": ids[label], "bbox": box}
            annotations.append({**row, "iscrowd": int(is_crowd), "area": float(area)})
    images = [
        {"id": row, "file_name": image.name, "height": int(sizes[row][0]), "width": int(sizes[row][1])} for row, image in enumerate(objects)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": key, "name": name} for key, name in names.items()]}


def coco_metric(truth: dict, results: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Computes COCO's metric.

    Args:
      truth: annotations, see `coco_truth`.
      results: detections, see `coco_results`.

    Returns:
      The twelve metrics, float [12], and the precision, float [10 IoUs, 101 recalls, classes, 4 areas, 3 limits of detections].

    Raises:
      InputError: pycocotools is not installed.
    """
    COCO, COCOeval = _import_pycocotools()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        # COCO.loadRes fails on an empty list.
        found = coco.loadRes([dict(row) for row in results]) if results else COCO()
        if not results:
            found.dataset = {**truth, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.array(evaluation.stats), evaluation.eval["precision"]


def _import_pycocotools():
    try:
        from pycocotools.coco import COCO  # noqa: PLC0415
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ImportError as error:
        raise InputError("COCO's metric needs pycocotools, which is not installed; run: pip install 'nasnet_tf[detection]'") from error
    return COCO, COCOeval


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
