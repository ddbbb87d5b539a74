"""Tests that networks from a user's own training loop can be saved, opened, used and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights.convert import load_weights, save_weights, to_keras_applications
from nasnet_tf.testing import png, tiny_genotype

NAMES = ["ant", "bee", "cow"]
CONFIG = NetworkConfig(1, "cifar", 2.0, filters=4, dropout_rate=0.2, batch_norm_momentum=0.5)


@pytest.fixture(scope="module")
def trained():
    """A network with custom cells, compiled and trained with Keras' fit."""
    model = build_network(tiny_genotype(), CONFIG, 3, 8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"], jit_compile=False)
    images = np.random.default_rng(1).uniform(-1, 1, [6, 8, 8, 3]).astype(np.float32)
    model.fit(images, np.arange(6) % 3, verbose=0)
    return model


def assert_equal(one, other):
    assert {weight.path for weight in one.weights} == {weight.path for weight in other.weights}
    values = {weight.path: weight.numpy() for weight in other.weights}
    for weight in one.weights:
        np.testing.assert_array_equal(weight.numpy(), values[weight.path], err_msg=weight.path)


def test_a_compiled_model_is_opened_uncompiled(trained, tmp_path):
    trained.save(tmp_path / "mine.keras")
    opened = load_nasnet(tmp_path / "mine.keras")
    assert_equal(opened, trained)
    assert not opened.compiled


@pytest.mark.parametrize("name", ["mine.keras", "mine.h5", "mine.weights.h5"])
@pytest.mark.parametrize("by", ["keras", "save_weights"])
def test_any_network_is_saved_and_loaded(trained, name, by, tmp_path, capsys):
    path = tmp_path / name
    if by == "save_weights":
        save_weights(trained, path)
        assert f"{path}: written in the form of nasnet_tf, because keras.applications does not have this network" in capsys.readouterr().err
    else:
        (trained.save_weights if name == "mine.weights.h5" else trained.save)(path)
    fresh = build_network(tiny_genotype(), CONFIG, 3, 8)
    load_weights(fresh, path)
    assert_equal(fresh, trained)


def test_weights_are_copied_from_a_live_network(trained):
    fresh = build_network(tiny_genotype(), CONFIG, 3, 8)
    load_weights(fresh, trained)
    assert_equal(fresh, trained)


def test_other_cells_are_not_written_for_slim(trained, tmp_path):
    with pytest.raises(InputError, match="mine.ckpt: .*knows NASNet-A only; expected .* ends with .safetensors, .weights.h5 or .keras"):
        save_weights(trained, tmp_path / "mine.ckpt")


def test_other_cells_are_not_written_as_those_of_keras_applications(tmp_path, capsys):
    space = SearchSpace(num_blocks=5, operations=("SEP_CONV_3X3", "SEP_CONV_5X5"))
    other = build_network(space.decode([0] * len(space.sizes), "other"), NetworkConfig(1, "imagenet", 1.0, filters=8), 3, 32)
    with pytest.raises(InputError, match="expected the cells of NASNet-A, this network has others"):
        to_keras_applications(other)
    save_weights(other, tmp_path / "other.keras")
    assert_equal(load_nasnet(tmp_path / "other.keras"), other)


PICTURES = [png(np.full([8, 8, 3], level)) for level in (0, 120, 255)]


def expected_probabilities(model):
    images = tf.stack([tf.image.per_image_standardization(tf.io.decode_png(picture)) for picture in PICTURES])
    return tf.nn.softmax(model(images, training=False)).numpy()


def test_a_classifier_of_a_network_in_memory_or_in_a_file_of_keras(trained, tmp_path):
    trained.save(tmp_path / "mine.keras")
    for source in (trained, tmp_path / "mine.keras"):
        classify = load_classifier(source, class_names=NAMES)
        np.testing.assert_allclose(classify.probabilities(PICTURES), expected_probabilities(trained), atol=1e-5)
        assert {each.name for each in classify(PICTURES[0], top=3)} == set(NAMES)
        assert (classify.preprocessing["kind"], classify.preprocessing["image_size"]) == ("cifar", 8)
        with pytest.raises(InputError, match="class_names: expected a name for each of the network's 3 classes, got 2"):
            load_classifier(source, class_names=NAMES[:2])
        with pytest.raises(
            InputError, match=r"mine.keras|Keras model 'nasnet'.*: does not say the names of its classes; pass .*class_names"
        ):
            load_classifier(source)
    with pytest.raises(InputError, match="has its own weights, got 'other.h5'"):
        load_classifier(trained, "other.h5", class_names=NAMES)


def test_a_classifier_of_a_name_and_a_weights_file_with_classes_of_its_own(tmp_path):
    model = load_nasnet("1 @ 192", None, num_classes=3)
    save_weights(model, tmp_path / "mine.ckpt")
    classify = load_classifier("1 @ 192", tmp_path / "mine.ckpt", class_names=NAMES)
    np.testing.assert_array_equal(classify.network.get_layer("logits").kernel, model.get_layer("logits").kernel)
    with pytest.raises(InputError, match="mine.ckpt: expected a classifier of 2 classes, as class_names says, found 3"):
        load_classifier("1 @ 192", tmp_path / "mine.ckpt", class_names=NAMES[:2])


def test_export_of_a_network_in_memory(trained, tmp_path):
    nasnet_tf.export(trained, {"class_names": NAMES}, tmp_path / "mine", ["saved_model", "keras"])
    assert_equal(load_nasnet(tmp_path / "mine"), trained)
    for path in (tmp_path / "mine", tmp_path / "mine" / "model.keras"):
        classify = load_classifier(path)
        assert classify.class_names == NAMES
        np.testing.assert_allclose(classify.probabilities(PICTURES), expected_probabilities(trained), atol=1e-5)
    assert "Crossentropy" not in (tmp_path / "mine" / "model.json").read_text()
    assert load_classifier(tmp_path / "mine", class_names=["x", "y", "z"]).class_names == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class_names": NAMES[:2]}, "class_names: expected a name for each of the network's 3 classes, got 2"),
        ({"class_names": "abc"}, "class_names: expected a list of 3 names, in the order of the logits, got 'abc'"),
        ({}, "class_names: expected a list of 3 names, in the order of the logits, got None"),
        ({"class_names": NAMES, "preprocessing": {"kind": "imagenet"}}, "preprocessing: expected the network's image_size, .* got 224"),
        (NAMES, 'data_description: expected {"class_names"'),
        ({"class_names": NAMES, "preprocessing": {"kind": "mine"}}, "preprocessing: expected a 'kind' of cifar or imagenet, got 'mine'"),
    ],
)
def test_wrong_descriptions_of_an_export_are_refused(trained, tmp_path, description, message):
    with pytest.raises(InputError, match=message):
        nasnet_tf.export(trained, description, tmp_path / "mine")


def test_models_that_are_no_classifier_are_refused(trained, tmp_path):
    features = keras.Model(trained.input, trained.get_layer("global_pool").output)
    probable = keras.Model(features.input, keras.layers.Dense(3, activation="softmax", name="mine")(features.output))
    foreign = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3)])
    for model, message in (
        (features, "ends in the logits of its classifier, a Dense layer; it ends in 'global_pool'"),
        (probable, "layer 'mine' has the activation 'softmax'; leave the activation out"),
        (foreign, "expected a network of load_nasnet or build_network"),
    ):
        with pytest.raises(InputError, match=message):
            nasnet_tf.export(model, {"class_names": NAMES}, tmp_path / "mine")
        with pytest.raises(InputError, match="expected a network of load_nasnet or build_network"):
            load_classifier(model, class_names=NAMES)
    probable.save(tmp_path / "probable.keras")
    with pytest.raises(InputError, match="probable.keras: .* layer 'mine' has the activation 'softmax'; leave the activation out"):
        load_classifier(tmp_path / "probable.keras", class_names=NAMES)
    with pytest.raises(InputError, match="takes images of 8 x 12 pixels; expected square ones"):
        load_classifier(build_network(tiny_genotype(), CONFIG, 3, (8, 12)), class_names=NAMES)


def test_a_custom_head_is_kept(trained, tmp_path):
    base = build_network(tiny_genotype(), CONFIG, None, 8)
    model = keras.Model(base.input, keras.layers.Dense(3, name="mine")(base.output))
    model.save(tmp_path / "mine.keras")
    assert_equal(load_nasnet(tmp_path / "mine.keras"), model)
    with pytest.raises(InputError, match="network .*: has a head of its own and no layer 'logits'"):
        load_nasnet(tmp_path / "mine.keras", num_classes=5)
    nasnet_tf.export(model, {"class_names": NAMES}, tmp_path / "mine")
    np.testing.assert_allclose(load_classifier(tmp_path / "mine").probabilities(PICTURES), expected_probabilities(model), atol=1e-5)
