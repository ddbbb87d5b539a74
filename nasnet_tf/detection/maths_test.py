"""Checks the functions of the detector against numbers that were computed by hand, and overlaps against pycocotools."""

import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask

from nasnet_tf.detection import anchors, boxes, coding, drawing, losses, matching, pooling, postprocessing, proposals
from nasnet_tf.detection.evaluation import coco_metric, coco_results, coco_truth
from nasnet_tf.detection.matching import CROWD, PADDING
from nasnet_tf.detection.misses import missed, worst


def floats(*values):
    return tf.constant(values, tf.float32)


def test_overlaps_equal_those_of_pycocotools():
    random = np.random.RandomState(0)
    corner, side = random.uniform(0, 50, [2, 12, 2]), random.uniform(0.1, 40, [2, 12, 2])
    both = np.concatenate([corner, corner + side], -1).astype(np.float32)
    both[0, 0, 2:] = both[0, 0, :2]  # an empty box
    as_coco = [np.concatenate([b[:, 1::-1], b[:, 3:1:-1] - b[:, 1::-1]], 1).astype(np.float64) for b in both]
    expected = mask.iou(as_coco[0], as_coco[1], [0] * 12)
    np.testing.assert_allclose(boxes.ious(both[:1], both[1:])[0], expected, atol=1e-5)
    expected = mask.iou(as_coco[0], as_coco[1], [1] * 12)
    np.testing.assert_allclose(boxes.covered(both[:1], both[1:])[0][1:], expected[1:], atol=1e-5)
    np.testing.assert_array_equal(boxes.areas(floats([0, 0, 2, 3], [1, 1, 1, 5], [3, 0, 1, 9])), [6, 0, 0])
    np.testing.assert_array_equal(boxes.clip(floats([-1, 2, 30, 9]), 20.0, 8.0), [[0, 2, 20, 8]])


def test_anchors_have_the_given_areas_ratios_and_centers():
    shapes = anchors.anchor_shapes(256, (0.25, 1), (0.5, 1, 2))
    np.testing.assert_allclose(shapes[1], [64, 64])
    np.testing.assert_allclose(shapes[0], [64 * 2**0.5, 64 / 2**0.5], rtol=1e-6)  # twice as high as wide
    np.testing.assert_allclose(shapes[:, 0] * shapes[:, 1], [64**2] * 3 + [256**2] * 3, rtol=1e-6)
    found = anchors.make_anchors(tf.constant(2), tf.constant(3), 16, np.array([[10, 20], [4, 4]], np.float32))
    assert found.shape == (12, 4)
    np.testing.assert_array_equal(found[0], [-5, -10, 5, 10])
    np.testing.assert_array_equal(found[3], [-2, 14, 2, 18])  # row 0, column 1, second shape
    np.testing.assert_array_equal(found[10], [11, 22, 21, 42])  # row 1, column 2
    np.testing.assert_array_equal(anchors.are_inside(found, 21.0, 42.0), [False] * 8 + [True] * 4)


def test_decode_inverts_encode_and_limits_the_size():
    anchor, box = floats([[0, 0, 10, 20]]), floats([[5, 5, 15, 45]])
    # Centers (10, 25) and (5, 10) give 5/10 and 15/20; heights are 10 and 10, widths 40 and 20.
    np.testing.assert_allclose(coding.encode(box, anchor)[0], [[5.0, 7.5, 0, np.log(2) * 5]], rtol=1e-5)
    np.testing.assert_allclose(coding.decode(coding.encode(box, anchor), anchor), box, atol=1e-4)
    huge = coding.decode(floats([0, 0, 1e6, 0]), anchor[0])
    np.testing.assert_allclose(huge[0, 2] - huge[0, 0], 10 * 1000 / 16, rtol=1e-4)


def test_candidates_are_matched_by_their_overlap():
    objects = floats([[0, 0, 10, 10], [20, 20, 30, 30], [50, 0, 90, 40], [0, 0, 0, 0]])
    labels = tf.constant([[2, 0, CROWD, PADDING]])
    candidates = floats([[0, 0, 10, 8], [0, 0, 10, 4], [22, 22, 40, 40], [60, 10, 70, 20], [0, 90, 9, 99], [0, 0, 10, 10], [0, 0, 0, 0]])
    valid = tf.constant([[True] * 5 + [False, True]])
    # In order: IoU 0.8; 0.4; 64 / (100 + 324 - 64) = 0.18; inside the crowd; no overlap; not valid; empty.
    plain = matching.match(candidates, valid, objects, labels, 0.7, 0.3)
    np.testing.assert_array_equal(plain.is_object[0], [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(plain.is_background[0], [0, 0, 1, 0, 1, 0, 1])
    forced = matching.match(candidates, valid, objects, labels, 0.7, 0.3, force=True)
    np.testing.assert_array_equal(forced.is_object[0], [1, 0, 1, 0, 0, 0, 0])
    assert forced.index[0, :3].numpy().tolist() == [0, 0, 1]
    nothing = matching.match(candidates, valid, objects, tf.fill([1, 4], PADDING), 0.7, 0.3, force=True)
    assert not np.any(nothing.is_object)


def test_a_forced_anchor_is_matched_to_its_own_object():
    """The best anchor of the second object overlaps the first object more."""
    objects, labels = floats([[0, 0, 10, 10], [0, 4, 10, 24]]), tf.constant([[0, 1]])
    candidates = floats([[0, 0, 10, 10], [0, 1, 10, 12]])
    found = matching.match(candidates, tf.constant([[True, True]]), objects, labels, 0.95, 0.3, force=True)
    np.testing.assert_array_equal(found.is_object[0], [1, 1])
    assert found.index[0].numpy().tolist() == [0, 1]


@pytest.mark.parametrize(("num_objects", "expected"), [(40, (8, 24)), (3, (3, 29))])
def test_objects_fill_at_most_their_share_of_a_sample(num_objects, expected):
    is_object = tf.range(200)[None] < num_objects
    matches = matching.Matches(is_object, tf.range(200)[None] >= 100, tf.zeros([1, 200], tf.int32))
    one, again, other = (matching.sample(matches, 32, 0.25, seed).numpy()[0] for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one[:num_objects].sum(), one[100:].sum(), one.sum()) == (*expected, 32)
    assert sorted(matching.first_of(one[None], 32).numpy()[0]) == np.flatnonzero(one).tolist()
    few = matching.Matches(is_object, tf.range(200)[None] == 150, tf.zeros([1, 200], tf.int32))
    assert matching.sample(few, 32, 0.25, [1, 2]).numpy().sum() == expected[0] + 1


def test_losses_are_divided_by_the_number_of_samples():
    np.testing.assert_allclose(losses.smooth_l1(floats([0.5, 3, 0, 0]), floats([0, 0, 0, -1])), [0.125 + 2.5 + 0.5])
    values, sampled = floats([1, 2, 4, 8]), tf.constant([[True, True, True, False]])
    np.testing.assert_allclose(losses.mean_of_sampled(values, tf.constant([[False, True, True, False]]), sampled), [2.0])
    np.testing.assert_allclose(losses.mean_of_sampled(values, sampled & False, sampled & False), [0.0])


def test_proposals_are_the_best_that_do_not_overlap():
    candidates = floats([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [5, 5, 5, 20], [70, 70, 80, 80]])
    scores = floats([0.6, 0.9, 0.5, 0.99, 0.1])
    found, real = proposals.propose(candidates, scores, 4, before_nms=3, nms_iou=0.7)
    np.testing.assert_array_equal(found[0], [[0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 0, 0], [0, 0, 0, 0]])  # an empty box is no proposal
    np.testing.assert_array_equal(real[0], [True, True, False, False])


def test_the_gradient_of_crops_is_deterministic_and_sums_those_of_single_boxes():
    """TensorFlow's gradient loses terms when several threads add up boxes of one image. It is exact for a single box."""
    features, boxes = tf.random.stateless_normal([1, 9, 12, 64], [0, 1]), tf.sort(tf.random.stateless_uniform([1, 400, 2, 2], [0, 2]), 2)
    boxes = tf.reshape(boxes, [1, 400, 4]) * [70.0, 94.0, 70.0, 94.0]
    upstream = tf.random.stateless_normal([400, 17, 17, 64], [0, 3])

    def gradient(boxes, upstream):
        with tf.GradientTape() as tape:
            tape.watch(features)
            crops = pooling.roi_align(features, boxes, floats(8, 8), 17)
        return tape.gradient(crops, features, upstream).numpy()

    found = gradient(boxes, upstream)
    np.testing.assert_array_equal(gradient(boxes, upstream), found)
    expected = np.zeros([1, 11, 14, 64], np.float32)
    first, last = boxes[..., :2] / 8, boxes[..., 2:] / 8
    half = (last - first) / 34
    places = tf.reshape(tf.concat([first + half + 0.5, last - half + 0.5], -1) / [10.0, 13.0, 10.0, 13.0], [400, 4])
    for row in range(400):
        expected += tf.raw_ops.CropAndResizeGradImage(
            grads=upstream[row : row + 1], boxes=places[row : row + 1], box_ind=[0], image_size=[1, 11, 14, 64], T=tf.float32
        ).numpy()
    for inside, edge in ((1, 0), (-2, -1)):  # the padding is a copy of the edge
        expected[:, inside] += expected[:, edge]
        expected[:, :, inside] += expected[:, :, edge]
    np.testing.assert_allclose(found, expected[:, 1:-1, 1:-1], atol=2e-5 * np.abs(expected).max())


def test_crops_of_a_slope_are_its_values_at_the_centers_of_bins():
    """The map has value 100 * y + x at the center of each of its pixels, and stride 8."""
    ys, xs = np.meshgrid(np.arange(6) + 0.5, np.arange(9) + 0.5, indexing="ij")
    features = tf.constant((100 * ys + xs)[None, :, :, None], tf.float32)
    crops = pooling.roi_align(features, floats([[8, 16, 40, 48], [16, 8, 24, 16]]), floats(8, 8), 2)
    assert crops.shape == (2, 2, 2, 1)
    # y from 1 to 5 in two bins has centers 2 and 4; x from 2 to 6 has 3 and 5.
    np.testing.assert_allclose(crops[0, :, :, 0], [[203, 205], [403, 405]], rtol=1e-5)
    np.testing.assert_allclose(crops[1, :, :, 0], [[225 + 1.25, 225 + 1.75], [275 + 1.25, 275 + 1.75]], rtol=1e-5)
    edge = pooling.roi_align(features, floats([[0, 0, 48, 72]]), floats(8, 8), 12)  # the first center is 1/4, outside of all pixel centers
    np.testing.assert_allclose(edge[0, 0, 1, 0], 50 + 0.75 + 0.375, rtol=1e-5)


def test_overlapping_detections_of_a_class_are_suppressed():
    """Two proposals show one object and one shows another. The codes are 0, so the boxes stay as they are."""
    found = postprocessing.detections(
        floats([[0, 0, 10, 10], [0, 0, 10, 9], [10, 20, 30, 40], [0, 0, 0, 0]]),
        tf.constant([[True, True, True, False]]),
        tf.math.log(floats([0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.45, 0.05, 0.5], [0.0, 0.0, 1.0])),
        tf.zeros([4, 2, 4]),
        floats(20, 40),
        count=4,
        nms_iou=0.6,
        least_score=0.15,
    )
    assert found["num_detections"].numpy().tolist() == [3]
    np.testing.assert_allclose(found["detection_scores"], [[0.8, 0.5, 0.2, 0.0]], rtol=1e-5)
    assert found["detection_classes"].numpy()[0, :3].tolist() == [0, 1, 1]
    np.testing.assert_allclose(found["detection_boxes"][0, :3], [[0, 0, 0.5, 0.225], [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.25]], atol=1e-6)


def test_an_object_is_missed_without_a_detection_of_its_class():
    class Seen:
        boxes, labels = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [0, 50, 9, 59], [0, 0, 99, 99.0]]), np.array([0, 1, 0, 0])
        is_crowd = np.array([False, False, False, True])

    found = np.array([[0, 0, 10, 6], [20, 20, 30, 30.0]])
    assert missed(Seen, found, np.array([0, 0])).tolist() == [False, True, True, False]  # the second one is found as another class
    assert missed(Seen, found[:0], np.array([], int)).tolist() == [True, True, True, False]
    assert worst([np.array([True]), np.array([False]), np.array([True, True])], 3) == [2, 0]


def test_boxes_are_drawn_at_their_places():
    drawn = drawing.draw_boxes(-tf.ones([1, 40, 80, 3]), floats([[10, 20, 30, 60], [0, 0, 5, 5]]), tf.constant([[0, -1]])).numpy()
    lit = np.argwhere(drawn[0].max(-1) > 0)
    assert np.abs(lit.min(0) - [10, 20]).max() <= 1
    assert np.abs(lit.max(0) - [30, 60]).max() <= 1


def test_the_metric_equals_a_calculation_by_hand():
    """Three detections of two objects are right, wrong and right, so precision is 1 up to recall 0.5 and 2/3 up to recall 1."""

    class Image:
        image_id, name = 7, "a.jpg"
        boxes, labels = np.array([[0, 0, 50, 50], [100, 100, 150, 150.0]]), np.array([0, 0])
        is_crowd, area = np.array([False, False]), np.array([2500.0, 2500.0])

    truth = coco_truth([Image], {0: np.array([200, 300])}, {5: "cell", 9: "none"})
    assert truth["annotations"][1]["bbox"] == [100, 100, 50, 50]
    results = coco_results(
        0, np.array([[0, 0, 50, 50], [0, 200, 50, 250], [100, 100, 150, 150.0]]), np.zeros(3, int), np.array([0.9, 0.8, 0.7]), (5, 9)
    )
    numbers, precision = coco_metric(truth, results)
    np.testing.assert_allclose(numbers[0], (51 * 1 + 50 * 2 / 3) / 101, rtol=1e-6)
    assert precision[0, 50, 0, 0, 2] == pytest.approx(1.0)
    assert coco_metric(truth, [])[0][0] == 0.0
