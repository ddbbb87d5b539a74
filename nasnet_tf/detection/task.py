"""Detection as a task of the training loop: four losses; COCO's mean average precision decides."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.located import Located
from nasnet_tf.base.values import Count, NotNegative, Part, check_fields
from nasnet_tf.data.detection import DetectionBatch, DetectionData
from nasnet_tf.detection import losses as loss_math
from nasnet_tf.detection.anchors import are_inside
from nasnet_tf.detection.coding import encode
from nasnet_tf.detection.drawing import draw_boxes
from nasnet_tf.detection.evaluation import DetectionEvaluator
from nasnet_tf.detection.matching import first_of, match, sample
from nasnet_tf.detection.model import DetectorConfig, build_detector, first_stage, region_features
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import is_chief
from nasnet_tf.training.task import BindableTask


@dataclasses.dataclass(frozen=True)
class DetectionLosses:
    """What counts in training. The defaults are the original's (faster_rcnn_nas_coco.config and the defaults of faster_rcnn.proto).

    Attributes:
      train_batch_norm: use and keep statistics of the batch, as in a training from nothing; the network's drop path goes with it. Otherwise
        its batch normalization has the statistics that it came with, while gains and biases learn.
      proposal_sample: anchors of an image that count.
      proposal_object_share: of them at most so many stand for objects.
      object_iou, background_iou: overlaps from which an anchor stands for an object, and below which for background.
      region_sample, region_object_share, region_iou: the same of the second stage, whose regions are one or the other.
      add_objects: the objects' own boxes are among the proposals of training, so that the second stage learns before the first is good
        (Girshick 2015; the original leaves it out).
      box_weight: of both losses of boxes, those of classes having 1.
    """

    train_batch_norm: bool = False
    proposal_sample: Count = 256
    proposal_object_share: Part = 0.5
    object_iou: Part = 0.7
    background_iou: Part = 0.3
    region_sample: Count = 64
    region_object_share: Part = 0.25
    region_iou: Part = 0.5
    add_objects: bool = False
    box_weight: NotNegative = 2.0

    def __post_init__(self):
        check_fields(self)
        if self.background_iou > self.object_iou:
            raise InputError(f"DetectionLosses: expected background_iou <= object_iou, got {self.background_iou} and {self.object_iou}")


class Regions(NamedTuple):
    """What the second stage learns from; a head of one's own finds its targets here.

    Attributes:
      features: float32 [batch * n, channels].
      boxes: float32 [batch, n, 4], in pixels.
      objects: float32 [batch, n, 4], the box of the object that each stands for, if any.
      labels: int32 [batch, n]: its class, or -1 for background.
      counts: bool [batch, n]: whether it was sampled at all.
    """

    features: tf.Tensor
    boxes: tf.Tensor
    objects: tf.Tensor
    labels: tf.Tensor
    counts: tf.Tensor


class Detection(BindableTask):
    """Batches are nasnet_tf.data.detection.DetectionBatch.

    The numbers of a step, means over the batch:
      loss: all together, without regularization.
      proposal_loss, proposal_box_loss: objectness of anchors, and their boxes.
      class_loss, box_loss: of the second stage.
      corrupt: number of images that could not be decoded.

    A further head is a subclass with `names` extended and `region_losses` that adds its own loss to them: its layer is one more output of
    the model, found by `model.get_layer`.

    Args:
      losses: what counts in training.
      detector: what `build` makes of a network.
    """

    kind = "detection"
    names = ("loss", "proposal_loss", "proposal_box_loss", "class_loss", "box_loss", "corrupt")
    shown = ("loss",)
    data = DetectionData
    evaluator_class = DetectionEvaluator
    figures = Located("nasnet_tf.viz.detections.evaluation_figures")
    export = Located("nasnet_tf.serving.exports.saved_detector.export_on_request")
    predictor = Located("nasnet_tf.serving.hub.detector.load_detector_on_request")
    starts_trained = True
    measure = "mean_average_precision"

    def __init__(
        self,
        data: DetectionData,
        config: TrainingConfig,
        losses: DetectionLosses | None = None,
        detector: DetectorConfig | None = None,
    ):
        for name, value in (("frozen_epochs", 0), ("class_weights", None)):
            if getattr(config, name) != value:
                raise InputError(f"TrainingConfig.{name}: expected {value} for a detector, got {getattr(config, name)!r}")
        self._config, self.settings, self._detector = config, losses or DetectionLosses(), detector or DetectorConfig()
        notes = [note for split in filter(None, ("train", config.evaluation_split)) for note in data.notes(split)]
        if is_chief():
            for note in dict.fromkeys(notes):
                print(f"data: {note}", file=sys.stderr, flush=True)
        if not any((~picture.is_crowd).any() for picture in data.objects("train")):
            raise InputError(f"data set {data.source!r}: expected objects to train on, got none in its {data.num_train_examples} pictures")

    def build(self, network: Callable[[int | None, Any], keras.Model], num_classes: int, image_size: int) -> keras.Model:
        """A detector on the network, for images of any size."""
        return build_detector(network(None, (None, None)), self._detector, num_classes)

    def losses(self, model: keras.Model, batch: DetectionBatch) -> dict[str, tf.Tensor]:
        """Of a model of build_detector."""
        settings, images = self.settings, batch.images
        first = first_stage(model, images, settings.train_batch_norm)
        seeds = tf.random.split(batch.seeds[0], 2)
        per_image = dict(zip(("proposal_loss", "proposal_box_loss"), self._proposal_losses(first, batch, seeds[0]), strict=True))
        regions = self._regions(model, first, batch, seeds[1])
        per_image |= self.region_losses(model, regions)
        weights = batch.weights / self._config.batch_size
        values = {name: tf.reduce_sum(value * weights) for name, value in per_image.items()}
        return {"loss": tf.add_n(list(values.values())), **values, "corrupt": tf.reduce_sum(1.0 - batch.weights)}

    def _proposal_losses(self, first, batch, seed):
        settings, anchors = self.settings, first.anchors
        height, width = tf.unstack(tf.cast(tf.shape(batch.images)[1:3], tf.float32))
        all_anchors = tf.repeat(anchors[None], tf.shape(batch.images)[0], axis=0)
        inside = tf.repeat(are_inside(anchors, height, width)[None], tf.shape(batch.images)[0], axis=0)
        matches = match(all_anchors, inside, batch.boxes, batch.labels, settings.object_iou, settings.background_iou, force=True)
        sampled = sample(matches, settings.proposal_sample, settings.proposal_object_share, seed)
        is_object = tf.cast(matches.is_object, tf.float32)
        objectness = tf.nn.sigmoid_cross_entropy_with_logits(is_object, first.objectness)
        targets = encode(tf.gather(batch.boxes, matches.index, batch_dims=1), all_anchors)
        boxes = loss_math.smooth_l1(targets, first.codes) * settings.box_weight
        return (
            loss_math.mean_of_sampled(objectness, sampled, sampled),
            loss_math.mean_of_sampled(boxes, sampled & matches.is_object, sampled),
        )

    def _regions(self, model, first, batch, seed) -> Regions:
        settings, candidates, valid = self.settings, first.proposals, first.are_real
        if settings.add_objects:
            candidates, valid = tf.concat([candidates, batch.boxes], 1), tf.concat([valid, batch.labels >= 0], 1)
        matches = match(candidates, valid, batch.boxes, batch.labels, settings.region_iou, settings.region_iou)
        size = min(settings.region_sample, candidates.shape[1])
        sampled = sample(matches, size, settings.region_object_share, seed)
        chosen = first_of(sampled, size)

        def of_chosen(values):
            return tf.gather(values, chosen, batch_dims=1)

        boxes, index = of_chosen(candidates), of_chosen(matches.index)
        labels = tf.where(of_chosen(matches.is_object), tf.gather(batch.labels, index, batch_dims=1), -1)
        features = region_features(model, batch.images, first.states, boxes, settings.train_batch_norm)
        return Regions(features, boxes, tf.gather(batch.boxes, index, batch_dims=1), labels, of_chosen(sampled))

    def region_losses(self, model: keras.Model, regions: Regions) -> Mapping[str, tf.Tensor]:
        """The losses of the second stage's heads, by name, float32 [batch] each."""
        logits, codes = model.get_layer("box_head")(regions.features)
        shape, is_object = tf.shape(regions.labels), regions.labels >= 0
        class_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(regions.labels + 1, [-1]), logits)
        own = tf.gather(codes, tf.reshape(tf.maximum(regions.labels, 0), [-1]), batch_dims=1)  # those of the object's class
        targets = encode(regions.objects, regions.boxes)
        box_loss = loss_math.smooth_l1(targets, tf.reshape(own, tf.shape(targets))) * self.settings.box_weight
        return {
            "class_loss": loss_math.mean_of_sampled(tf.reshape(class_loss, shape), regions.counts, regions.counts),
            "box_loss": loss_math.mean_of_sampled(box_loss, regions.counts & is_object, regions.counts),
        }

    def samples(self, batch: DetectionBatch) -> dict[str, tf.Tensor]:
        """The augmented images with their boxes."""
        return {"images": draw_boxes(batch.images, batch.boxes, batch.labels)}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> DetectionEvaluator:
        """COCO's metric."""
        return self.evaluator_class(model, strategy)

    @staticmethod
    def notes(data: DetectionData, split: str) -> Sequence[str]:
        """What was odd in the annotations, and what was done about it."""
        return data.notes(split)

    @staticmethod
    def table(evaluator: DetectionEvaluator) -> str:
        """All numbers, one a line."""
        return evaluator.evaluation.table()

    @staticmethod
    def results(evaluator: DetectionEvaluator) -> dict[str, list[dict]]:
        """The detections as COCO's results JSON."""
        return {"detections": evaluator.results}
