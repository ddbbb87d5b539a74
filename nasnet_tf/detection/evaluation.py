"""COCO's detection metric over a whole split, through pycocotools (extra `detection`)."""

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

_DRAWN = 8  # images for TensorBoard
_DRAWN_SCORE = 0.5  # least probability of a box that is drawn
# pycocotools' twelve numbers, in its order.
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
    """COCO's twelve numbers, in [0, 1]; -1 where there is nothing to find, such as no small object at all.

    Attributes:
      per_class: mean average precision of each class, by name.
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
        """All numbers, one a line."""
        rows = {text: getattr(self, name) for name, text in NUMBERS.items()} | {f"AP of {n}": value for n, value in self.per_class.items()}
        width = max(map(len, rows))
        return "\n".join(f"{text:{width}}  {'-' if value < 0 else f'{value:.4f}'}" for text, value in rows.items())


class DetectionEvaluator:
    """Evaluates one model as often as wanted, on all replicas of the strategy; traced once.

    Attributes:
      evaluation: the last one.
      results: after a call, the detections as COCO's results JSON: [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}].
      found: after a call, [(picture, (boxes float [n, 4] in its pixels, classes int [n], scores float [n]))] in the order of the split.
      precision: float [101 recalls, classes] at IoU .50 and over all of COCO's IoUs, by name; -1 for classes without objects.
      images: a few images with what was found in them, for TensorBoard.
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
        """Evaluates every image of "train", "validation" or "test" exactly once; batch_size does not change the result.

        Raises:
          InputError: an image that cannot be decoded, or pycocotools is not installed.
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
        self.evaluation = self._measure(coco_truth(truth, sizes, names), names, len(truth))
        return self.evaluation

    def _draw(self, batch) -> None:
        """The first images with what is found in them, by this worker's first replica."""
        images = self._strategy.experimental_local_results(batch[0])[0][:_DRAWN]
        boxes, classes, scores, *_ = self._detect(batch)
        count, size = tf.shape(images)[0], tf.cast(tf.tile(tf.shape(images)[1:3], [2]), tf.float32)
        labels = tf.where(scores[:count] >= _DRAWN_SCORE, classes[:count], -1)
        self.images = {"detections": draw_boxes(images, boxes[:count] * size, labels)}

    def _measure(self, truth: dict, names: dict[int, str], examples: int) -> DetectionEvaluation:
        summary, precision = coco_metric(truth, self.results)
        self.precision = {"IoU .50": precision[0, :, :, 0, 2], "IoU .50:.95": precision[:, :, :, 0, 2].mean(0)}
        per_class = {name: _mean(precision[:, :, number, 0, 2]) for number, name in enumerate(names.values())}
        return DetectionEvaluation(*map(float, summary), per_class, examples)


def coco_results(image_id: int, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, category_ids) -> list[dict]:
    """Detections of one image in the form of COCO's results JSON; boxes [n, 4] in pixels of the picture, classes 0 and up."""
    rows = []
    for (top, left, bottom, right), number, score in zip(boxes.tolist(), classes.tolist(), scores.tolist(), strict=True):
        box = [left, top, right - left, bottom - top]
        rows.append({"image_id": image_id, "category_id": category_ids[number], "bbox": box, "score": score})
    return rows


def coco_truth(objects, sizes: dict[int, np.ndarray], names: dict[int, str]) -> dict:
    """The objects of a split as COCO's annotations JSON, with ids numbered from 1: pycocotools takes 0 for none, equal ones for one."""
    annotations, ids = [], list(names)
    for image in objects:
        for (top, left, bottom, right), label, is_crowd, area in zip(image.boxes, image.labels, image.is_crowd, image.area, strict=True):
            box = [float(left), float(top), float(right - left), float(bottom - top)]
            row = {"id": len(annotations) + 1, "image_id": image.image_id, "category_id": ids[label], "bbox": box}
            annotations.append({**row, "iscrowd": int(is_crowd), "area": float(area)})
    images = [
        {"id": image.image_id, "file_name": image.name, "height": int(sizes[row][0]), "width": int(sizes[row][1])}
        for row, image in enumerate(objects)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": key, "name": name} for key, name in names.items()]}


def coco_metric(truth: dict, results: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """(the twelve numbers [12], precision [10 IoUs, 101 recalls, classes, 4 areas, 3 limits]) of results against annotations."""
    COCO, COCOeval = _import_pycocotools()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        # loadRes fails on an empty list.
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
        raise InputError("COCO's metric needs pycocotools; expected it to be installed, by: pip install 'nasnet_tf[detection]'") from error
    return COCO, COCOeval


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
