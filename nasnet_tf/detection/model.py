"""Builds a detector from a network and a DetectorConfig, and runs its two stages separately for training."""

import dataclasses
from typing import Annotated, NamedTuple

import keras
import tensorflow as tf

from nasnet_tf.base.values import Count, Part, Positive, Within, check_classes, check_fields, expect
from nasnet_tf.detection.heads import BoxHead, ProposalHead
from nasnet_tf.detection.pooling import RoiPooling
from nasnet_tf.detection.postprocessing import Postprocessing
from nasnet_tf.detection.proposals import Proposals
from nasnet_tf.models.endpoints import before_last_reduction, cut, endpoints_of

PositiveNumbers = Annotated[tuple[Positive, ...], Within("one or more positive numbers", bool)]


@dataclasses.dataclass(frozen=True)
class DetectorConfig:
    """The settings of a detector, besides its network. Defaults are the original's (faster_rcnn_nas_coco.config) unless stated otherwise.

    Attributes:
      endpoint: name of the hidden state at which the network is split into the two stages; None for the state before its last reduction
        cell (stride 16).
      anchor_base: side of the square anchor of scale 1, in pixels.
      anchor_scales: scales of the anchors, as factors of anchor_base; each is combined with each ratio.
      anchor_ratios: ratios of the anchors, width / height.
      proposal_filters: channels of the convolution that precedes the proposals.
      num_proposals: number of regions per image that the second stage classifies (the paper: 300 to 500).
      proposals_before_nms: number of best anchors that non-maximum suppression compares (from Ren et al. 2015; the original compares all).
      proposal_nms_iou: IoU threshold of non-maximum suppression for proposals; of two that overlap more, the better one is kept.
      crop_size: side in pixels of the crops of the newest hidden state.
      nms_iou: IoU threshold of non-maximum suppression for detections of the same class.
      num_detections: maximum number of detections per image.
      least_score: detections with a lower probability are left out. COCO's metric needs all of them, so the default is 0.
    """

    endpoint: str | None = None
    anchor_base: Positive = 256.0
    anchor_scales: PositiveNumbers = (0.25, 0.5, 1.0, 2.0)
    anchor_ratios: PositiveNumbers = (0.5, 1.0, 2.0)
    proposal_filters: Count = 512
    num_proposals: Count = 300
    proposals_before_nms: Count = 6000
    proposal_nms_iou: Part = 0.7
    crop_size: Count = 17
    nms_iou: Part = 0.6
    num_detections: Count = 100
    least_score: Part = 0.0

    def __post_init__(self):
        check_fields(self)
        for name in ("anchor_scales", "anchor_ratios"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


class FirstStage(NamedTuple):
    """The results of a detector's first stage.

    Attributes:
      states: hidden states of the network, newest first.
      objectness: float32 [batch, anchors], logits.
      codes: float32 [batch, anchors, 4], boxes relative to the anchors.
      anchors: float32 [anchors, 4], in pixels.
      proposals: float32 [batch, num_proposals, 4], in pixels.
      are_real: bool [batch, num_proposals], False for proposals that are padding.
    """

    states: list
    objectness: tf.Tensor
    codes: tf.Tensor
    anchors: tf.Tensor
    proposals: tf.Tensor
    are_real: tf.Tensor


def build_detector(network: keras.Model, config: DetectorConfig, num_classes: int) -> keras.Model:
    """Builds a detector that shares the layers and weights of a network, without the network's classifier.

    The detector consists of the layers `trunk`, `proposal_head`, `proposals`, `roi_pooling`, `rest`, `box_head` and `postprocessing`.

    Args:
      network: a network of build_network or load_nasnet for any image size.
      config: settings of the detector.
      num_classes: number of classes of objects.

    Returns:
      A model whose input is images float [batch, height, width, 3] of any size, normalized as for the network. Its output is the dictionary
      that nasnet_tf.detection.postprocessing.detections returns.

    Raises:
      InputError: the network has no reduction cell, the endpoint is unknown, or num_classes is not an integer of 1 or more.
    """
    num_classes = check_classes(num_classes)
    expect(num_classes is not None, "num_classes", "an integer of 1 or more", num_classes)
    pooled = network.get_layer("global_pool").output
    network = keras.Model(network.input, pooled, name=network.name)
    endpoints = {endpoint.name: endpoint for endpoint in endpoints_of(network)}
    name = config.endpoint or before_last_reduction(network).name
    trunk, rest = cut(network, name)
    stride = endpoints[name].stride
    halvings = [(stride // endpoints[state._keras_history.operation.name].stride).bit_length() - 1 for state in trunk.outputs]
    num_anchors = len(config.anchor_scales) * len(config.anchor_ratios)

    images = keras.Input((None, None, 3), name="images")
    parts = {
        "trunk": trunk,
        "proposal_head": ProposalHead(config.proposal_filters, num_anchors, name="proposal_head"),
        "proposals": Proposals(
            stride,
            config.anchor_base,
            config.anchor_scales,
            config.anchor_ratios,
            config.num_proposals,
            config.proposals_before_nms,
            config.proposal_nms_iou,
            name="proposals",
        ),
        "roi_pooling": RoiPooling(config.crop_size, halvings, name="roi_pooling"),
        "rest": rest,
        "box_head": BoxHead(num_classes, name="box_head"),
        "postprocessing": Postprocessing(config.num_detections, config.nms_iou, config.least_score, name="postprocessing"),
    }
    states = parts["trunk"](images)
    first = parts["proposal_head"](_of_newest_size(states, halvings))
    _, proposals, are_real = parts["proposals"](images, *first)
    logits, codes = parts["box_head"](parts["rest"](parts["roi_pooling"](images, states, proposals)))
    return keras.Model(images, parts["postprocessing"](images, proposals, are_real, logits, codes), name="detector")


def first_stage(detector: keras.Model, images: tf.Tensor, training: bool) -> FirstStage:
    """Runs the first stage of a detector, from images to proposals. No gradient flows through the proposals.

    Args:
      detector: a model of build_detector.
      images: float32 [batch, height, width, 3].
      training: True if the network's batch normalization and drop path run in training mode.
    """
    states = detector.get_layer("trunk")(images, training=training)
    objectness, codes = detector.get_layer("proposal_head")(_of_newest_size(states, detector.get_layer("roi_pooling").halvings))
    anchors, proposals, are_real = detector.get_layer("proposals")(images, objectness, codes)
    batch = tf.shape(images)[0]
    return FirstStage(
        states, tf.reshape(objectness, [batch, -1]), tf.reshape(codes, [batch, -1, 4]), anchors, tf.stop_gradient(proposals), are_real
    )


def region_features(detector: keras.Model, images: tf.Tensor, states: list, boxes: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the features of regions that the heads of the second stage read, float32 [batch * n, channels].

    Args:
      detector: a model of build_detector.
      images: float32 [batch, height, width, 3].
      states: hidden states of the first stage.
      boxes: the regions, float32 [batch, n, 4], in pixels.
      training: True if the network's batch normalization and drop path run in training mode.
    """
    return detector.get_layer("rest")(detector.get_layer("roi_pooling")(images, states, boxes), training=training)


def _of_newest_size(states: list, halvings: list[int]) -> list:
    """Returns the states that have the size of the newest one; proposals are computed from these."""
    return [state for state, times in zip(states, halvings, strict=True) if times == 0]
