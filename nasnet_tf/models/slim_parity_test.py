"""Compares this network with outputs of the original implementation for equal weights. One fixture ships with the repository."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.serving.weights.names import slim_names
from nasnet_tf.testing import REPOSITORY, SHARED
from nasnet_tf.training.losses import classification_loss, weight_decay_loss

FIXTURES = SHARED / "fixtures" / "slim"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the fixtures of the original implementation")
SHIPPED = REPOSITORY / "testdata"
# Batch-norm momentum, epsilon and L2 factor of slim's argument scopes.
DEFAULTS = {"cifar": (0.9, 1e-5, 5e-4), "imagenet": (0.9997, 1e-3, 5e-5)}


def network(preset, auxiliary_head, fixtures=FIXTURES):
    meta = json.loads((fixtures / preset / "meta.json").read_text())
    config, stem = meta["config"], "cifar" if meta["image_size"] == 32 else "imagenet"
    momentum, epsilon, weight_decay = DEFAULTS[stem]
    model = build_network(
        "nasnet_a",
        NetworkConfig(
            cells_per_stack=config["num_cells"] // 3,
            stem=stem,
            stem_multiplier=config["stem_multiplier"],
            filters=config["num_conv_filters"],
            prev_skips_reduction=bool(config["skip_reduction_layer_input"]),
            bounded_activation=config["use_bounded_activation"],
            batch_norm_momentum=momentum,
            batch_norm_epsilon=epsilon,
            auxiliary_head=auxiliary_head,
        ),
        meta["num_classes"],
        meta["image_size"],
    )
    return model, weight_decay


def load(preset, name, fixtures=FIXTURES):
    return np.load(fixtures / preset / name)


def assert_close(actual, expected, relative):
    assert np.abs(actual - expected).max() <= relative * np.abs(expected).max()


def test_inference_equals_slim_with_the_shipped_fixture():
    """The fixture is the first preset below without its auxiliary head and moving averages."""
    preset = "slim_cifar_small"
    model, _ = network(preset, auxiliary_head=False, fixtures=SHIPPED)
    load_weights(model, str(SHIPPED / preset / "model.ckpt"))
    assert_close(model(load(preset, "input.npy", SHIPPED)).numpy(), load(preset, "logits_raw.npy", SHIPPED), 1e-5)


@needs_fixtures
@pytest.mark.parametrize("preset", ["cifar_small", "large_small"])
def test_inference_equals_slim(preset):
    model, _ = network(preset, auxiliary_head=False)
    images = load(preset, "input.npy")
    for use_ema, kind in ((True, "ema"), (False, "raw")):
        load_weights(model, str(FIXTURES / preset / "model.ckpt"), use_ema)
        assert_close(model(images).numpy(), load(preset, f"logits_{kind}.npy"), 1e-5)
    endpoints = load(preset, "endpoints_raw.npz")
    # Slim's Stem endpoint of an ImageNet network comes after the two stem cells.
    ours = {"Stem": "stem" if preset == "cifar_small" else "cell_stem_1", "global_pool": "global_pool", "Logits": "logits"}
    names = [name for name in endpoints.files if name != "Predictions"]
    assert len(names) >= 10
    tensors = [model.get_layer(ours.get(name, name.lower())).output for name in names]
    for name, value in zip(names, keras.Model(model.input, tensors)(images), strict=True):
        assert_close(value.numpy(), endpoints[name], 1e-5)


@needs_fixtures
@pytest.mark.parametrize("preset", ["cifar_small", "large_small"])
def test_one_training_pass_equals_slim(preset):
    model, weight_decay = network(preset, auxiliary_head=True)
    load_weights(model, str(FIXTURES / preset / "model.ckpt"), use_ema=False)
    expected = json.loads((FIXTURES / preset / "train.json").read_text())
    labels = tf.constant(expected["labels"])
    with tf.GradientTape() as tape:
        outputs = model(load(preset, "input.npy"), training=True)
        cross_entropy, auxiliary = (
            tf.reduce_mean(classification_loss(labels, outputs[name], expected["label_smoothing"]))
            for name in ("logits", "auxiliary_logits")
        )
        regularization = weight_decay * weight_decay_loss(model.trainable_variables)
        total = cross_entropy + 0.4 * auxiliary + regularization
    assert_close(outputs["logits"].numpy(), load(preset, "train_logits.npy"), 2e-5)
    assert_close(outputs["auxiliary_logits"].numpy(), load(preset, "train_aux_logits.npy"), 2e-5)
    assert float(cross_entropy) == pytest.approx(expected["ce"], rel=1e-5)
    assert 0.4 * float(auxiliary) == pytest.approx(expected["aux_loss_weighted"], rel=1e-5)
    assert float(regularization) == pytest.approx(expected["reg"], rel=1e-5)
    assert float(total) == pytest.approx(expected["total"], rel=1e-5)
    gradients = tape.gradient(total, model.trainable_variables)
    # Batch normalization over only two images magnifies the rounding errors of convolutions in gradients. The fixtures were computed
    # without oneDNN's kernels: the error is 1e-6 without them here too, and 3e-4 with them.
    assert float(tf.linalg.global_norm(gradients)) == pytest.approx(expected["grad_global_norm"], rel=1e-3)
    names = slim_names(model)
    assert {names[variable.path] for variable in model.trainable_variables} == set(expected["grad_norms"])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        close = pytest.approx(expected["grad_norms"][names[variable.path]], rel=1e-2, abs=1e-5 * expected["grad_global_norm"])
        assert float(tf.norm(gradient)) == close, variable.path
    statistics = load(preset, "train_moving_stats_after_1_update.npz")
    moving = {names[v.path].replace("/", "|"): v.numpy() for v in model.non_trainable_variables}
    assert len(statistics.files) == 6
    for name in statistics.files:
        np.testing.assert_allclose(moving[name], statistics[name], rtol=1e-4, atol=1e-5, err_msg=name)
