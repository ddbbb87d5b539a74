"""Tests of images with several labels: losses and figures against Keras and scikit-learn, and a training."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from nasnet_tf.base.errors import InputError, TrainingDiverged, TrainingInterrupted
from nasnet_tf.data import ImageData
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.testing import png, terminated_at
from nasnet_tf.training import loop
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.loop_test import assert_same_weights, dense, rows_without_speed
from nasnet_tf.training.losses import multi_label_loss
from nasnet_tf.training.metrics_log import read_metrics
from nasnet_tf.training.multi_label import MultiLabel
from nasnet_tf.training.multi_label_evaluation import MultiLabelEvaluator, measure
from nasnet_tf.training.optimizers import RMSProp
from nasnet_tf.training.schedules import cosine_decay

CONFIG = TrainingConfig(4, 8, evaluate_every_epochs=1, log_every_steps=3, label_smoothing=0.1)


def drawn(examples=40, classes=5, seed=0):
    """Returns random (labels, probabilities), with ties among the probabilities and a class that no example has."""
    random = np.random.default_rng(seed)
    labels = (random.random([examples, classes]) < [0.5, 0.2, 0.1, 0.7, 0.0]).astype(int)
    return labels, np.round(np.clip(0.3 * labels + 0.8 * random.random([examples, classes]), 0, 1), 1)


def test_figures_are_those_of_scikit_learn():
    labels, probabilities = drawn()
    found = measure(labels, probabilities, 0.25, "abcde")
    there = labels[:, :4], probabilities[:, :4]
    each = metrics.average_precision_score(*there, average=None)
    assert list(found.average_precision.values()) == [*map(pytest.approx, each), None]
    assert found.mean_average_precision == pytest.approx(metrics.average_precision_score(*there, average="macro"))
    assert list(found.class_f1.values()) == [*map(pytest.approx, metrics.f1_score(there[0], there[1] >= 0.5, average=None)), None]
    assert found.f1 == pytest.approx(metrics.f1_score(labels, probabilities >= 0.5, average="micro"))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(there[0], there[1] >= 0.5, average="macro"))
    assert found.exact_match == metrics.accuracy_score(labels, probabilities >= 0.5)
    assert list(found.positives.values()) == labels.sum(0).tolist()
    lines = {line.split()[0]: line.split() for line in found.details.table().splitlines()}
    assert lines["class"] == ["class", "AP", "accuracy", "precision", "recall", "F1", "images"]
    assert (lines["a"][1], lines["a"][5:]) == (f"{each[0]:.4f}", [f"{found.class_f1['a']:.4f}", str(labels[:, 0].sum())])
    assert lines["Precision,"][-1] == "e."
    json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))


def test_one_class_and_nothing_to_find():
    found = measure(np.array([[1], [0], [1]]), np.array([[0.9], [0.1], [0.2]]), 0.1, ["defect"])
    assert (found.mean_average_precision, found.f1) == (1.0, pytest.approx(2 / 3))
    none = measure(np.zeros([3, 2], int), np.zeros([3, 2]), 0.1, "ab")
    assert (none.mean_average_precision, none.f1, none.macro_f1, none.exact_match) == (0.0, 0.0, 0.0, 1.0)


def test_probabilities_of_nan_are_refused():
    with pytest.raises(TrainingDiverged, match="1 of 2 examples have probabilities of NaN"):
        measure(np.array([[1], [0]]), np.array([[0.5], [np.nan]]), 0.1, "a")


def test_the_loss_is_keras_binary_cross_entropy_summed_over_classes():
    labels, logits = drawn()[0], np.random.default_rng(1).normal(size=[40, 5]).astype(np.float32)
    for smoothing in (0.0, 0.2):
        expected = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)(labels, logits)
        np.testing.assert_allclose(multi_label_loss(labels, logits, smoothing), 5 * expected, rtol=1e-5)
    weights = [2.0, 1.0, 1.0, 1.0, 1.0]
    per_class = tf.nn.sigmoid_cross_entropy_with_logits(labels.astype(np.float32), logits).numpy()
    expected = per_class.sum(1) + per_class[:, 0] * labels[:, 0]  # a present label of the first class counts twice
    np.testing.assert_allclose(multi_label_loss(labels, logits, 0.0, weights), expected, rtol=1e-5)


@pytest.fixture(name="data")
def data_of_colors(tmp_path):
    """Returns data with 32 training and 16 validation images. The labels of an image are its bright channels, if any."""
    random, rows = np.random.default_rng(3), ["file,labels,split"]
    for number in range(48):
        present = random.random(3) < [0.5, 0.5, 0.2]
        pixels = np.clip(200 * present + random.integers(0, 50, [6, 6, 3]), 0, 255)
        (tmp_path / f"{number}.png").write_bytes(png(pixels))
        labels = ";".join(name for name, is_there in zip(("red", "green", "blue"), present, strict=True) if is_there)
        rows.append(f"{number}.png,{labels},{'train' if number < 32 else 'validation'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return ImageData(f"table:{tmp_path / 'labels.csv'}", PngPreprocessing(6, flip=False, upsample=1.0))


def train(data, workdir, config=CONFIG, strategy=None):
    with_task = {"task": MultiLabel, "show_progress": False, "strategy": strategy}
    return loop.train_and_evaluate(dense, data, RMSProp, cosine_decay(0.02), config, workdir, **with_task)


def test_a_training_learns_records_its_task_and_resumes_exactly(data, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, epochs=10, class_weights="balanced")
    model, evaluation = train(data, tmp_path / "whole", config)
    assert evaluation.mean_average_precision > 0.9
    assert list(evaluation.average_precision) == ["blue", "green", "red"]
    rows = read_metrics(tmp_path / "whole")
    assert {"mean_average_precision", "f1", "average_precision"} <= set(rows[-1])
    description = json.loads((tmp_path / "whole" / "data.json").read_text())
    assert (description["task"], description["several_labels"], description["label_separator"]) == ("multi_label", True, ";")
    weights = json.loads((tmp_path / "whole" / "training.json").read_text())["class_weights"]
    assert weights["blue"] > 1 > weights["red"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrainStep", terminated_at(7))
        with pytest.raises(TrainingInterrupted):
            train(data, tmp_path / "parts", config)
    assert_same_weights(model, train(data, tmp_path / "parts", config)[0])
    assert rows_without_speed(tmp_path / "parts") == rows_without_speed(tmp_path / "whole")


def test_figures_are_the_same_on_several_replicas(data):
    strategy = make_strategy("mirrored")
    with strategy.scope():
        model = dense(3, 6)
    several = MultiLabel(data, CONFIG).adapted(data)
    one = MultiLabelEvaluator(model).on_split(several, "validation", 6)
    assert str(MultiLabelEvaluator(model, strategy).on_split(several, "validation", 8)) == str(one)
    assert one.examples == 16


def test_both_heads_are_trained_and_undecodable_images_are_ignored(data):
    logits = tf.constant([[1.0, -2.0, 3.0], [0.0, -1.0, 1.0]])

    def model(images, training):
        return {"logits": logits, "auxiliary_logits": 2 * logits}

    task = MultiLabel(data, dataclasses.replace(CONFIG, batch_size=2, label_smoothing=0.0))
    found = task.losses(model, (tf.zeros([2, 6, 6, 3]), tf.constant([[1, 0, 1], [-1, -1, -1]])))
    main, auxiliary = (multi_label_loss(tf.constant([[1, 0, 1]]), scale * logits[:1], 0.0)[0] for scale in (1, 2))
    assert float(found["loss"]) == pytest.approx(float(main + 0.4 * auxiliary) / 2)
    assert float(found["auxiliary_loss"]) == pytest.approx(0.4 * float(auxiliary) / 2)
    assert (float(found["exact_match"]), float(found["corrupt"])) == (0.5, 1.0)


def test_patience_watches_the_mean_average_precision(data, tmp_path):
    train(data, tmp_path, dataclasses.replace(CONFIG, epochs=30, patience=1))
    row = read_metrics(tmp_path)[-1]
    assert row["epoch"] < 30
    assert "no improvement in 1 evaluation;" in row["stopped"]


def test_data_with_one_label_for_each_image_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="expected table:FILE or table:FOLDER"):
        MultiLabel(dataclasses.replace(data, source="digits"), CONFIG)
    (tmp_path / "labels.csv").write_text("file,labels\n0.png,red|blue\n1.png,red\n")
    with pytest.raises(InputError, match=r"each training image has one label, .* with ';' \(MultiLabel.label_separator\)"):
        MultiLabel(data, CONFIG)
    assert MultiLabel(data, CONFIG, label_separator="|").adapted(data).class_names == ("blue", "red")
    assert Classification(types.SimpleNamespace(num_classes=2), CONFIG).adapted(data) is data
