"""Tests of class weights: their values, their effect on the loss, and their part in the identity of a work folder."""

import dataclasses
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from nasnet_tf.base.errors import InputError
from nasnet_tf.training import class_weights
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.loop_test import CONFIG, DATA, dense, train

THREE = types.SimpleNamespace(num_classes=3, class_names=("a", "b", "c"), label_counts=np.array([6, 3, 1]))
TABLE = {"a": 2.0, "c": 0.5}


def config(weights):
    return TrainingConfig(epochs=1, batch_size=2, class_weights=weights)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat(np.arange(3), THREE.label_counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights.by_label(config("balanced"), THREE), expected)
    assert class_weights.by_label(config(TABLE), THREE) == [2.0, 1.0, 0.5]
    assert class_weights.by_label(config(None), THREE) is None


def test_training_labels_are_counted():
    batches = dataclasses.replace(DATA, test_split="train[:80]").evaluation("test", 16).as_numpy_iterator()
    labels = np.concatenate([labels for _, labels, _ in batches])
    np.testing.assert_array_equal(DATA.label_counts, np.bincount(labels, minlength=10))
    assert DATA.label_counts.sum() == DATA.num_train_examples == 80


def test_the_loss_of_both_heads_is_weighted():
    logits = tf.constant([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])

    def model(images, training):
        return {"logits": logits, "auxiliary_logits": 2 * logits}

    def losses(weights, labels):
        found = Classification(THREE, config(weights)).losses(model, (tf.zeros([2, 8, 8, 3]), tf.constant(labels)))
        return {name: float(value) for name, value in found.items()}

    plain, weighted = losses(None, [0, -1]), losses(TABLE, [0, -1])
    for name in ("loss", "auxiliary_loss"):
        assert weighted[name] == pytest.approx(2 * plain[name])
    both, first, second = losses(TABLE, [2, 0]), losses(None, [2, -1]), losses(None, [-1, 0])
    assert both["loss"] == pytest.approx(0.5 * first["loss"] + 2.0 * second["loss"])


def test_weights_are_part_of_a_work_folders_identity(tmp_path):
    weights = {str(number): 1.0 + number / 10 for number in range(10)}
    run = dataclasses.replace(CONFIG, epochs=1, class_weights=weights)
    train(tmp_path, run, network=dense)
    assert json.loads((tmp_path / "training.json").read_text())["class_weights"] == weights
    train(tmp_path, run, network=dense)
    with pytest.raises(InputError, match=r"training.json, class_weights.3 was 1.3, is 2.0"):
        train(tmp_path, dataclasses.replace(run, class_weights=weights | {"3": 2}), network=dense)
    with pytest.raises(InputError, match=r"training.json, class_weights"):
        train(tmp_path, dataclasses.replace(run, class_weights="balanced"), network=dense)


@pytest.mark.parametrize("wrong", ["even", {}, {"a": 0}, {"a": float("nan")}, {0: 1.0}, {"a": True}, 3])
def test_invalid_weights_are_refused(wrong):
    with pytest.raises(InputError, match=r"TrainingConfig.class_weights: expected 'balanced', a table .*, or None, got "):
        config(wrong)


def test_unknown_classes_and_classes_without_examples_are_refused():
    with pytest.raises(InputError, match="TrainingConfig.class_weights: expected names of classes, got 'd'; the classes are a, b, c"):
        class_weights.by_label(config({"d": 2}), THREE)
    THREE_OF_TWO = types.SimpleNamespace(class_names=("a", "b", "c"), label_counts=np.array([6, 0, 1]))
    with pytest.raises(InputError, match="'balanced' needs training examples of every class, got none of b"):
        class_weights.by_label(config("balanced"), THREE_OF_TWO)
