"""The detection task of the training loop: four losses, and evaluation by COCO's mean average precision."""

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
    """The settings of the losses. Defaults are the original's (faster_rcnn_nas_coco.config and the defaults of faster_rcnn.proto).

    Attributes:
      train_batch_norm: True to run batch normalization and drop path of the network in training mode, for a network that is trained from
        scratch. False to keep the network's moving statistics; the gains and biases are still trained.
      proposal_sample: number of anchors per image that enter the loss.
      proposal_object_share: largest fraction of the sampled anchors that can be assigned to objects.
      object_iou: IoU from which an anchor is assigned to an object.
      background_iou: an anchor whose IoU with every object is below this is background; at most object_iou. Anchors between the two
        thresholds are ignored.
      region_sample: number of regions per image that enter the loss of the second stage.
      region_object_share: largest fraction of the sampled regions that can be assigned to objects.
      region_iou: IoU from which a region is assigned to an object; below it, the region is background.
      add_objects: True to add the boxes of the objects to the proposals in training, so that the second stage learns before the first stage
        is good (Girshick 2015; the original does not).
      box_weight: weight of both box losses; the other two losses have weight 1.
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
    """The n regions per image that the second stage is trained on, with their targets. Custom heads use the same targets.

    Attributes:
      features: float32 [batch * n, channels], the input of the heads.
      boxes: float32 [batch, n, 4], the regions in pixels.
      objects: float32 [batch, n, 4], the box of the object that each region is assigned to; meaningless for background.
      labels: int32 [batch, n], the class of the object, or -1 for background.
      counts: bool [batch, n], True if the region was sampled; other regions must not enter a loss.
    """

    features: tf.Tensor
    boxes: tf.Tensor
    objects: tf.Tensor
    labels: tf.Tensor
    counts: tf.Tensor


class Detection(BindableTask):
    """The detection task. Its batches are nasnet_tf.data.detection.DetectionBatch.

    Each training step reports these metrics, which are means over the batch:
      loss: sum of the four losses, without regularization.
      proposal_loss, proposal_box_loss: losses of the anchors' objectness and boxes.
      class_loss, box_loss: losses of the second stage.
      corrupt: number of images that could not be decoded; a sum, not a mean.

    To add a head, write a subclass that extends `names` and adds its loss in `region_losses`. The layer of the head is one more output of
    the model, and `model.get_layer` finds it.

    Args:
      data: the data set.
      config: settings of the training.
      losses: settings of the losses; None for the defaults.
      detector: settings of the detector that `build` creates; None for the defaults.

    Raises:
      InputError: the training uses an option that detection does not have, or the training split has no objects.
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
        """Returns a detector for images of any size.

        Args:
          network: function (num_classes, image_size) that returns the network.
          num_classes: number of classes of objects.
          image_size: not used.
        """
        return build_detector(network(None, (None, None)), self._detector, num_classes)

    def losses(self, model: keras.Model, batch: DetectionBatch) -> dict[str, tf.Tensor]:
        """Returns the metrics of a step on one replica's part of the batch, {name: float32 []}. The model is from build_detector."""
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
        """Returns the losses of the second stage's heads, {name: float32 [batch]}."""
        logits, codes = model.get_layer("box_head")(regions.features)
        shape, is_object = tf.shape(regions.labels), regions.labels >= 0
        class_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(regions.labels + 1, [-1]), logits)
        own = tf.gather(codes, tf.reshape(tf.maximum(regions.labels, 0), [-1]), batch_dims=1)  # the codes for the class of the object
        targets = encode(regions.objects, regions.boxes)
        box_loss = loss_math.smooth_l1(targets, tf.reshape(own, tf.shape(targets))) * self.settings.box_weight
        return {
            "class_loss": loss_math.mean_of_sampled(tf.reshape(class_loss, shape), regions.counts, regions.counts),
            "box_loss": loss_math.mean_of_sampled(box_loss, regions.counts & is_object, regions.counts),
        }

    def samples(self, batch: DetectionBatch) -> dict[str, tf.Tensor]:
        """Returns the augmented images with their boxes drawn, for TensorBoard."""
        return {"images": draw_boxes(batch.images, batch.boxes, batch.labels)}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> DetectionEvaluator:
        """Returns the evaluator, which computes COCO's metric."""
        return self.evaluator_class(model, strategy)

    @staticmethod
    def notes(data: DetectionData, split: str) -> Sequence[str]:
        """Returns a sentence for each oddity in the annotations of a split, with how it is handled."""
        return data.notes(split)

    @staticmethod
    def table(evaluator: DetectionEvaluator) -> str:
        """Returns the metrics of the last evaluation as text, one per line."""
        return evaluator.evaluation.table()

    @staticmethod
    def results(evaluator: DetectionEvaluator) -> dict[str, list[dict]]:
        """Returns the detections of an evaluation as COCO's results JSON."""
        return {"detections": evaluator.results}
