"""Tests of the details of an evaluation, against scikit-learn and values worked out by hand."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from nasnet_tf.data import ImageData, ImageNetPreprocessing
from nasnet_tf.testing import png
from nasnet_tf.training import by_class, details
from nasnet_tf.training.calibration import BINS, Calibration, binned
from nasnet_tf.training.details import WORST
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.multi_label_evaluation import measure

IDENTITY = tf.keras.Sequential([tf.keras.layers.Input([3]), tf.keras.layers.Activation("linear")])
NAMES = ("cat", "dog", "owl", "yak")
# No example is a yak, but two are predicted to be one; no owl is found.
CONFUSION = np.array([[5, 1, 0, 1], [2, 7, 0, 0], [3, 0, 0, 1], [0, 0, 0, 0]])


def vectors(confusion):
    """Returns (labels, predictions) for a confusion matrix."""
    rows, columns = np.indices(confusion.shape)
    return np.repeat(rows.ravel(), confusion.ravel()), np.repeat(columns.ravel(), confusion.ravel())


def test_figures_by_class_are_those_of_scikit_learn():
    labels, found = vectors(CONFUSION)
    rows = by_class.of_confusion(CONFUSION, NAMES)
    precision, recall, f1, examples = metrics.precision_recall_fscore_support(labels, found, zero_division=0.0)
    assert [(row.recall, row.f1) for row in rows[:3]] == [(pytest.approx(r), pytest.approx(f)) for r, f in zip(recall, f1, strict=True)][:3]
    assert [row.precision for row in rows[:2]] == [pytest.approx(value) for value in precision[:2]]
    assert [row.examples for row in rows] == examples.tolist()
    assert [row.found for row in rows] == [10, 8, 0, 2]
    assert [row.accuracy for row in rows] == [pytest.approx(metrics.accuracy_score(labels == n, found == n)) for n in range(4)]


def test_a_network_without_an_opinion_is_right_about_the_first_class_only():
    evaluation = Evaluator(IDENTITY)([(tf.zeros([4, 3]), tf.constant([0, 1, 2, 2]), tf.ones([4]))])
    assert evaluation.accuracy == 0.25
    assert Evaluator(IDENTITY)([(tf.fill([4, 3], np.nan), tf.constant([0, 0, 2, 2]), tf.ones([4]))]).accuracy == 0
    assert np.trace(evaluation.details.confusion) == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_labels_out_of_range_are_refused(jit_compile):
    batch = tf.zeros([4, 3]), tf.constant([-1, 0, 3, -1]), tf.constant([1.0, 1.0, 1.0, 0.0])
    with pytest.raises(tf.errors.InvalidArgumentError):
        Evaluator(IDENTITY, jit_compile=jit_compile)([batch])


def test_undefined_figures_are_none_and_noted():
    rows = by_class.of_confusion(CONFUSION, NAMES)
    owl, yak = rows[2:]
    assert (owl.precision, owl.recall, owl.f1) == (None, 0.0, 0.0)  # nothing was predicted to be an owl
    assert (yak.precision, yak.recall, yak.f1, yak.accuracy) == (None, None, None, pytest.approx(18 / 20))
    lines = by_class.table(rows).splitlines()
    assert [line.split()[0] for line in lines] == ["class", "owl", "cat", "dog", "mean", "Precision,"]  # the lowest F1 first
    assert lines[1].split() == ["owl", "0.8000", "-", "0.0000", "0.0000", "4"]
    means = [np.mean([getattr(row, name) for row in rows[:3] if getattr(row, name) is not None]) for name in ("precision", "recall", "f1")]
    assert lines[4].split()[3:] == [f"{np.mean([row.accuracy for row in rows[:3]]):.4f}", *(f"{mean:.4f}" for mean in means)]
    assert lines[5] == "Precision, recall and F1 are undefined for classes without images: yak."


def test_tables_of_many_classes_are_bounded():
    confusion = np.diag(np.arange(1000) % 7)
    confusion[17, 18] = 40
    lines = by_class.table(by_class.of_confusion(confusion, [f"class_{number}" for number in range(1000)])).splitlines()
    assert len(lines) == 1 + 50 + 3
    assert lines[1].startswith("class_18") or lines[1].startswith("class_17")
    assert lines[52] == f"{np.count_nonzero(confusion.sum(1)) - 50} more classes have an equal or higher F1."
    assert lines[53].endswith("class_63 and 133 more.")


def test_figures_of_several_labels_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels = (random.random([40, 4]) < [0.5, 0.2, 0.7, 0.0]).astype(int)
    probabilities = np.clip(0.4 * labels + 0.7 * random.random([40, 4]), 0, 1)
    rows = measure(labels, probabilities, 0.5, NAMES).details.by_class()
    for number, row in enumerate(rows[:3]):
        scores = metrics.precision_recall_fscore_support(labels[:, number], probabilities[:, number] >= 0.5, average="binary")[:3]
        assert (row.precision, row.recall, row.f1) == tuple(map(pytest.approx, scores))
        assert row.accuracy == metrics.accuracy_score(labels[:, number], probabilities[:, number] >= 0.5)
        assert row.average_precision == pytest.approx(metrics.average_precision_score(labels[:, number], probabilities[:, number]))
    assert (rows[3].precision, rows[3].average_precision, rows[3].examples) == (None, None, 0)
    one = measure(labels[:, :1], probabilities[:, :1], 0.5, ["cat"]).details.by_class()
    assert one == rows[:1]


def test_the_worst_mistakes_of_several_labels_name_the_wrong_label():
    labels, probabilities = np.array([[1, 1], [0, 0], [1, 0]]), np.array([[0.9, 0.1], [0.7, 0.2], [0.8, 0.3]])
    found = measure(labels, probabilities, 0.1, ["cat", "dog"]).details
    assert [(each.place, each.expected, each.found, round(each.confidence, 6)) for each in found.mistakes] == [
        (0, "cat; dog", "no dog", 0.9),
        (1, "nothing", "cat", 0.7),
    ]
    assert found.calibration.examples.sum() == 6
    json.dumps(found.results(), allow_nan=False)


def test_the_expected_calibration_error_is_that_of_the_paper():
    confidences = np.array([0.95, 0.96, 0.99, 1.0, 0.61, 0.62, 1 / BINS, 0.0])
    right = np.array([True, True, False, True, False, True, True, False])
    found = Calibration.of_sums(binned(confidences[:3], right[:3]) + binned(confidences[3:], right[3:]))
    expected = 4 / 8 * abs(3.9 / 4 - 3 / 4) + 2 / 8 * abs(0.615 - 0.5) + 2 / 8 * abs(0.5 / BINS - 0.5)
    assert found.error == pytest.approx(expected)
    assert found.examples.tolist() == [2] + [0] * 8 + [2] + [0] * 4 + [4]  # the border of two bins belongs to the lower one
    assert [row["examples"] for row in found.rows()] == [2, 2, 4]
    assert found.rows()[2] == {
        "above": pytest.approx(14 / 15),
        "to": 1.0,
        "examples": 4,
        "confidence": pytest.approx(0.975),
        "accuracy": 0.75,
    }
    assert np.isnan(Calibration.of_sums(binned(np.array([np.nan, 0.5]), right[:2])).error)  # NaN is not hidden


def probability_model(images, training):
    """Returns logits that a test sets by its pixels: the red values of two pixels and the green value of the first one."""
    return tf.stack([images[:, 0, 0, 0], images[:, 0, 1, 0], images[:, 0, 0, 1]], 1) * 3


@pytest.fixture(name="data")
def data_of_sure_answers(tmp_path):
    """Returns data with 20 test images of class a. Every second one is predicted to be b, with more confidence for later ones."""
    for split, count in (("train", 1), ("test", 20)):
        for number in range(count):
            pixels = np.zeros([2, 2, 3])
            pixels[0, number % 2, 0] = 100 + 7 * number
            folder = tmp_path / split / "abc"[0 if split == "test" else number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:02}.png").write_bytes(png(pixels))
    for name in "bc":
        (tmp_path / "train" / name).mkdir()
        (tmp_path / "train" / name / "0.png").write_bytes(png(np.zeros([2, 2, 3])))
    return ImageData(f"folder:{tmp_path}", ImageNetPreprocessing(2, central_fraction=1.0))


def test_the_worst_mistakes_are_those_of_the_split_with_their_pictures(data, monkeypatch):
    found = Evaluator(probability_model).on_split(data, "test", 8).details
    mistakes = found.mistakes
    assert len(mistakes) == 10
    assert [mistake.name[-6:] for mistake in mistakes] == [f"{number:02}.png" for number in range(19, 0, -2)]
    assert {(mistake.expected, mistake.found) for mistake in mistakes} == {("a", "b")}
    assert [mistake.picture.max() for mistake in mistakes] == [100 + 7 * number for number in range(19, 0, -2)]
    names = [name for name, _ in data.pictures("test", range(20))]
    assert [names[mistake.place] for mistake in mistakes] == [mistake.name for mistake in mistakes]
    for picture in (np.zeros([400, 300, 3], np.uint8), np.zeros([1000, 1, 3], np.uint8)):
        assert max(details._reduced(picture).shape) == 192
    monkeypatch.setattr(details, "WORST", 3)
    few = Evaluator(probability_model).on_split(data, "test", 7).details
    assert [mistake.name for mistake in few.mistakes] == [mistake.name for mistake in mistakes[:3]]


def test_details_do_not_depend_on_batches_or_replicas(data):
    one = Evaluator(probability_model).on_split(data, "test", 20)
    for batch_size, strategy in ((7, None), (6, make_strategy("mirrored"))):  # both sizes need padding
        other = Evaluator(probability_model, strategy).on_split(data, "test", batch_size)
        assert dataclasses.asdict(other) == pytest.approx(dataclasses.asdict(one))
        np.testing.assert_array_equal(other.details.confusion, one.details.confusion)
        np.testing.assert_array_equal(other.details.calibration.examples, one.details.calibration.examples)
        assert [each.place for each in other.details.worst] == [each.place for each in one.details.worst]
    assert one.details.confusion.tolist() == [[10, 10, 0], [0, 0, 0], [0, 0, 0]]
    assert one.details.calibration.examples.sum() == 20
    assert one.expected_calibration_error == one.details.calibration.error > 0.4


def test_results_are_json_and_say_what_is_confused(data):
    found = Evaluator(probability_model).on_split(data, "test", 8).details
    results = json.loads(json.dumps(found.results(), allow_nan=False))
    assert results["most_confused"] == [{"expected": "a", "found": "b", "examples": 10}]
    assert [row["f1"] for row in results["by_class"]] == [pytest.approx(2 / 3), None, None]
    assert len(results["mistakes"]) == 10 <= WORST
    assert set(results["mistakes"][0]) == {"place", "expected", "found", "confidence", "name"}
    assert results["calibration"]["expected_calibration_error"] == found.calibration.error
    assert found.table().splitlines()[-1] == f"expected calibration error {found.calibration.error:.4f}"
