"""Tests that the fine-tuning recipe starts from every kind of source that holds weights of its network."""

import dataclasses
import functools

import gin
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData, ImageNetPreprocessing
from nasnet_tf.genotype import genotype_hash, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.recipes import reading, table, training
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.hub.load import load_features
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.weights import keras_files, public
from nasnet_tf.serving.weights.convert import save_weights

CONFIG = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=192, batch_norm_momentum=0.9997)


@functools.cache
def filled(path, shape):
    """Returns values that differ between weights; all are positive, as variances must be."""
    return np.random.default_rng([len(path), sum(path.encode())]).uniform(0.1, 1.0, shape).astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    """A small network with the batch normalization momentum of the public weights, 0.9997."""
    model = build_network("nasnet_a", CONFIG, 10, 32)  # the classes of digits
    for weight in model.weights:
        weight.assign(filled(weight.path, weight.shape))
    return model


@pytest.fixture(scope="module")
def recipe_network():
    """The recipe's network, made small, with 3 classes."""
    table.load()
    gin.clear_config()
    reading.parse_recipe(reading.read_recipe(reading.find_recipe("finetune.gin")))
    gin.parse_config(["NetworkConfig.cells_per_stack = 1", "NetworkConfig.penultimate_filters = 192"])
    genotype, config = training._architecture(None, None, resolve("mobile"))  # the bindings replace its configuration
    assert genotype_hash(genotype) == genotype_hash(load_genotype("nasnet_a"))
    assert config == dataclasses.replace(CONFIG, dropout_rate=0.5, batch_norm_momentum=0.99)
    assert config.batch_norm_momentum == 0.99  # a short training must be able to move the statistics
    gin.clear_config()
    return build_network("nasnet_a", config, 3, 32)


@pytest.fixture
def recipe(recipe_network):
    for weight in recipe_network.weights:
        weight.assign(tf.zeros(weight.shape))
    return recipe_network


@pytest.mark.parametrize("source", ["mine.weights.h5", "mine.h5", "mine.keras", "mine.ckpt", "export", "mobile"])
def test_a_training_starts_from_any_source_of_weights(trained, recipe, source, tmp_path, monkeypatch):
    path = tmp_path / source
    if source == "export":
        export(trained, ImageData("digits", ImageNetPreprocessing(image_size=32)).description(), path)
    elif source == "mobile":  # a legacy file where Keras keeps the public files
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        path, features = tmp_path / "models" / "nasnet_mobile_no_top.h5", build_network("nasnet_a", CONFIG, None, 32)
        for weight in features.weights:
            weight.assign(filled(weight.path, weight.shape))
        save_weights(features, path)
        for module in (keras_files, public):
            monkeypatch.setattr(module, "PUBLIC_KERAS_FILES", {keras_files._md5(path): ("mobile", False)})
        path = source
    else:
        save_weights(trained, path)
    if source == "export":
        cells, config = resolve(path).architecture()
        assert (genotype_hash(cells), config.filters, config.stem_multiplier) == (genotype_hash(load_genotype("nasnet_a")), 8, 1.0)
        with pytest.raises(InputError, match="train.genotype: nasnet_b has other cells than .*export"):
            training._architecture("nasnet_b", None, resolve(path))
    elif source != "mobile":
        with pytest.raises(
            InputError, match="fits no network of list_models.*, so its architecture is unknown; bind train.genotype and train.network"
        ):
            training._architecture(None, None, resolve(path))
    load_features(recipe, path)
    for weight in recipe.weights:
        if not weight.path.startswith("logits"):
            np.testing.assert_array_equal(weight.numpy(), filled(weight.path, weight.shape), err_msg=weight.path)


def test_sources_without_weights_are_refused_before_anything_is_built(tmp_path, monkeypatch):
    (tmp_path / "model.ckpt.index").touch()
    (tmp_path / "mine.h5").touch()
    (tmp_path / "photo.png").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for source in ("mobile", "NASNet-A (6 @ 4032)", "mine.h5", "model.ckpt", "."):
        resolve(source).check_features()
    for source, came in (("photo.png", "is a file of another kind"), ("empty", "a folder without weights"), ("./mobile", "no such file")):
        with pytest.raises(InputError, match=f"{came}; expected a TF-slim checkpoint .* or a .h5 or .keras file"):
            resolve(source).check_features()
    table.load()
    gin.parse_config(["train.initial_weights = 'photo.png'", "train.genotype = 'nasnet_a'"])
    data = ImageData("digits", CifarPreprocessing(image_size=8, upsample=1.0))
    with pytest.raises(InputError, match="photo.png: is a file of another kind"):
        table.bound("train")(data, **dict.fromkeys(("optimizer", "learning_rate", "training")))
    gin.clear_config()
