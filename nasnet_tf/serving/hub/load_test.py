"""Tests of load_nasnet: names, sizes, options, heads, features, and arguments that it refuses."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import format_genotype, load_genotype
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models.endpoints import endpoints_of
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub import load
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.images import preprocess
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.hub.naming import class_names, resolve
from nasnet_tf.testing import tiny_genotype

SMALL = "1 @ 256"
IMAGENET = {"weights": None, "stem": "imagenet"}
TINY = {"weights": None, "genotype": tiny_genotype(), "image_size": 32}  # for tests in which the cells do not matter


def images(height, width=None):
    return tf.random.stateless_uniform([2, height, width or height, 3], [1, 2], -1, 1)


def values(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_a_known_name_is_loaded_and_an_unknown_one_refused():
    model = nasnet_tf.load_nasnet("cifar", weights=None)
    assert (model.input.shape, model.output.shape) == ((None, 32, 32, 3), (None, 10))
    with pytest.raises(InputError, match="not one of the names mobile, .*large, cifar"):
        load_nasnet("huge")
    with pytest.raises(InputError, match="genotype and stem can only be set for a size"):
        load_nasnet("NASNet-A (6 @ 4032)", genotype="nasnet_b")


@pytest.mark.parametrize("size", [96, 225, (64, 101), (None, None)])
def test_a_network_takes_images_of_its_size(size):
    model = load_nasnet(SMALL, image_size=size, num_classes=7, **IMAGENET)
    shape = (size, size) if isinstance(size, int) else size if size[0] else (50, 70)
    assert model.input.shape == (None, *((size, size) if isinstance(size, int) else size), 3)
    logits = model(images(*shape))
    assert logits.shape == (2, 7)
    assert bool(tf.reduce_all(tf.math.is_finite(logits)))


def test_a_size_takes_any_genotype_and_stem(tmp_path):
    path = tmp_path / "mine.textproto"
    path.write_text(format_genotype(tiny_genotype()))
    small, large = (load_nasnet("2@64", None, genotype=str(path), image_size=size) for size in (32, 65))
    assert (small.get_layer("stem").kind, small.output.shape[1]) == ("cifar", 10)
    assert (large.get_layer("stem").kind, large.output.shape[1]) == ("imagenet", 1000)
    assert small.get_layer("cell_3").cell == tiny_genotype().normal_cell
    assert load_nasnet("1@64", None, genotype=tiny_genotype(), image_size=32, stem="imagenet").get_layer("stem").kind == "imagenet"
    with pytest.raises(InputError, match="no pretrained weights are known for it, only for mobile, large"):
        load_nasnet("2@64", genotype=str(path))
    with pytest.raises(InputError, match="stem: expected one of 'cifar', 'imagenet' or None, got 'mnist'"):
        load_nasnet("2@64", None, stem="mnist")


def test_a_size_of_the_paper_is_the_papers_network(tmp_path):
    def described(*arguments, **options):
        network = resolve(*arguments, **options)
        return network.key, network.config, network.num_classes, network.image_size

    path = tmp_path / "a.textproto"
    path.write_text(format_genotype(load_genotype("nasnet_a")))
    large, cifar = (described(name) for name in ("large", "cifar"))
    assert described("6 @ 4032") == described("6@4032", genotype=path) == described("6 @ 4032", stem="imagenet") == large
    assert (large[1].stem_multiplier, large[1].prev_skips_reduction, large[1].drop_path_rate) == (3.0, True, 0.3)
    assert described("6 @ 4032", image_size=(96, 96)) == (*large[:3], (96, 96))
    assert described("6 @ 768") == described("6 @ 768", image_size=(32, 32)) == cifar
    assert described("4 @ 1536", genotype="nasnet_b")[0] == "nasnet_b_4@1536"
    # With other cells, another stem or another size, it is not the paper's network.
    for name, options in (
        ("6 @ 4032", {"genotype": "nasnet_c"}),
        ("6 @ 4032", {"image_size": (32, 32)}),
        ("6 @ 768", {"stem": "imagenet"}),
        ("5 @ 4032", {}),
    ):
        assert described(name, **options)[0] is None
    skipping = described("6 @ 4032", prev_skips_reduction=False, bounded_activation=True)[1]
    assert (skipping.prev_skips_reduction, skipping.bounded_activation) == (False, True)
    assert (skipping.stem_multiplier, skipping.drop_path_rate) == (3.0, 0.3)


def test_a_configuration_must_have_the_named_size_and_stem():
    config = NetworkConfig(1, "cifar", 2.0, filters=4, prev_skips_reduction=True, bounded_activation=True, batch_norm_momentum=0.5)
    model = load_nasnet("1 @ 96", None, config=config, image_size=96, num_classes=3)
    assert model.get_layer("cell_0").style == config.style
    assert (model.get_layer("stem").kind, model.get_layer("stem").filters) == ("cifar", 8)
    assert model.get_layer("cell_1").input[1] is model.get_layer("stem").output  # h_{i-1} skips the reduction
    with pytest.raises(InputError, match="expected 2 cells and 4 filters in the first stack, config has 1 and 4"):
        load_nasnet("2 @ 96", None, config=config)
    with pytest.raises(InputError, match="expected the stem 'imagenet', config has 'cifar'"):
        load_nasnet("1 @ 96", None, config=config, stem="imagenet")


def test_a_separator_makes_a_path(tmp_path, monkeypatch, tiny_export):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("./mobile", "mobile/", "/mobile", "~/large", pathlib.Path("mobile"), "~nobody", "..\\mobile"):
        for use in (load_nasnet, load_classifier, class_names, lambda network: preprocess(np.zeros([1, 8, 8, 3], np.uint8), network)):
            with pytest.raises(InputError, match="no such folder; expected an export or the work folder of a training"):
                use(path)
        with pytest.raises(InputError, match="no such"):
            load.load_features(build_network("nasnet_a", NetworkConfig(1, "cifar", 1.0, filters=4), 3, 8), path)
    shutil.copytree(tiny_export, "mobile")
    for path in ("./mobile", "mobile/", pathlib.Path("mobile"), "~/mobile"):
        assert class_names(path) == [str(digit) for digit in range(10)]
    assert load_nasnet("./mobile").output.shape == (None, 10)
    assert class_names("mobile")[0] == "tench"
    with pytest.raises(InputError, match="did you mean 'mobile'"):
        class_names("mobil")
    with pytest.raises(InputError, match="is a file; expected the folder of an export"):
        load_nasnet("mobile/model.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": "7"}, "num_classes: expected an integer of 1 or more, or None, got '7'"),
        ({"num_classes": -3}, "num_classes: expected .*, got -3"),
        ({"num_classes": 0}, "num_classes: expected .*, got 0"),
        ({"num_classes": True}, "num_classes: expected .*, got True"),
        ({"num_classes": 7.0}, "num_classes: expected .*, got 7.0"),
        ({"image_size": 224.0}, "image_size: expected an integer of 1 or more, a pair .*, got 224.0"),
        ({"image_size": (224,)}, r"image_size: expected .*, got \(224,\)"),
        ({"image_size": "224"}, "image_size: expected .*, got '224'"),
        ({"image_size": (-1, 5)}, r"image_size: expected .*, got \(-1, 5\)"),
        ({"dropout": "0.5"}, "dropout: expected a number .*, got '0.5'"),
        ({"dropout": float("nan")}, "dropout: expected a number .*, got nan"),
        ({"drop_path": 1}, "drop_path: expected a number .*, got 1"),
        ({"genotype": 5}, "genotype: expected a message"),
        ({"config": {"filters": 4}}, "config: expected a NetworkConfig"),
        ({"prev_skips_reduction": 1}, "prev_skips_reduction: expected True, False or None, got 1"),
        ({"include_top": None}, "include_top: expected True or False, got None"),
        ({"pooling": True}, "pooling: expected 'avg', 'max' or None, got True"),
        ({"endpoints": "cell_0"}, "endpoints: expected a list of names"),
        ({"freeze": 3}, "freeze: expected True, False or the name of an endpoint, got 3"),
        ({"weights": 5}, "weights: expected 'trained', a file, or None for fresh ones, got 5"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load_nasnet("2 @ 64", **{"weights": None, **options})


@pytest.mark.parametrize("name", [None, 5, b"mobile", ["mobile"]])
def test_names_of_the_wrong_kind_are_refused(name):
    for use in (load_nasnet, load_classifier, class_names):
        with pytest.raises(InputError, match="network: expected a name, a size such as '6 @ 768', or a path, got"):
            use(name)
    with pytest.raises(InputError, match="expected"):
        build_network("nasnet_a", NetworkConfig(1, "cifar", 1.0, filters=4), "7", 32)
    with pytest.raises(InputError, match="genotype: expected"):
        build_network(name if name != b"mobile" else 5, NetworkConfig(1, "cifar", 1.0, filters=4), 7, 32)


def test_without_top_the_result_is_the_last_features():
    options = {"image_size": 64, "genotype": "nasnet_b", "include_top": False, **IMAGENET}  # its cells have several states to concatenate
    model = load_nasnet(SMALL, **options)
    features = model(images(64)).numpy()
    assert features.ndim == 4
    assert features.min() == 0  # after the last ReLU
    for pooling, expected in (("avg", features.mean((1, 2))), ("max", features.max((1, 2)))):
        pooled = load_nasnet(SMALL, pooling=pooling, **options)
        for weight, value in zip(pooled.weights, model.get_weights(), strict=True):
            weight.assign(value)
        np.testing.assert_allclose(pooled(images(64)), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="pooling: expected 'avg', 'max' or None, got 'sum'"):
        load_nasnet(SMALL, pooling="sum", **options)
    with pytest.raises(InputError, match="pooling: expected None with include_top=True"):
        load_nasnet(SMALL, None, pooling="avg")


@pytest.mark.parametrize(("genotype", "last"), [("nasnet_a", 264), ("nasnet_b", 128)])
def test_features_only_returns_the_last_state_of_each_size(genotype, last):
    model = load_nasnet(SMALL, image_size=(64, 96), genotype=genotype, features_only=True, **IMAGENET)
    pyramid = model(images(64, 96))
    endpoints = endpoints_of(model)
    assert [endpoint.stride for endpoint in endpoints] == [2, 4, 8, 16, 32]
    assert [endpoint.name for endpoint in endpoints] == ["stem", "cell_stem_0", "cell_0", "cell_1", "cell_2"] == list(pyramid)
    assert endpoints[-1].channels == last
    for endpoint in endpoints[1:]:  # the stem has no padding
        assert pyramid[endpoint.name].shape == (2, 64 // endpoint.stride, 96 // endpoint.stride, endpoint.channels)


def test_the_outputs_are_the_named_endpoints():
    whole = load_nasnet(SMALL, **TINY)
    assert [(endpoint.name, endpoint.stride) for endpoint in endpoints_of(whole)] == [
        ("stem", 1),
        ("cell_0", 1),
        ("reduction_cell_0", 2),
        ("cell_1", 2),
        ("reduction_cell_1", 4),
        ("cell_2", 4),
    ]
    model = load_nasnet(SMALL, **TINY, endpoints=["reduction_cell_1", "cell_0"])
    assert set(model.output) == {"reduction_cell_1", "cell_0"}
    assert not any(weight.path.startswith(("cell_2", "logits")) for weight in model.weights)
    with pytest.raises(InputError, match="endpoint 'cell_9': expected one of stem, cell_0, reduction_cell_0"):
        load_nasnet(SMALL, **TINY, endpoints=["cell_9"])
    with pytest.raises(InputError, match="num_classes: expected None with features_only or endpoints"):
        load_nasnet(SMALL, None, features_only=True, num_classes=3)


@pytest.mark.parametrize("freeze", [True, "cell_1"])
def test_gradients_flow_through_layers_that_are_not_frozen(freeze):
    model = load_nasnet(SMALL, **TINY, num_classes=3, dropout=0.2, drop_path=0.1, freeze=freeze)
    before = values(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 2], model(images(32), training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert trained == ({"logits"} if freeze is True else {"reduction_cell_1", "cell_2", "logits"})
    changed = {path.split("/")[0] for path, value in values(model).items() if not np.array_equal(value, before[path])}
    assert changed == trained - {"logits"}  # moving statistics of the layers that are not frozen


def test_the_given_dropout_rates_are_used():
    model = load_nasnet(SMALL, **TINY, dropout=0.25, drop_path=0.5)
    assert model.get_layer("dropout").rate == 0.25
    assert [model.get_layer(name).drop_path_rate for name in ("cell_0", "cell_2")] == [0.1, 0.5]
    with pytest.raises(InputError, match=r"dropout: expected a number in \[0, 1\) or None, got 1.5"):
        load_nasnet(SMALL, None, dropout=1.5)


@pytest.mark.parametrize(
    ("policy", "genotype"), [("mixed_bfloat16", "nasnet_a"), ("mixed_float16", "nasnet_b"), ("mixed_bfloat16", "nasnet_c")]
)
def test_mixed_precision_keeps_weights_and_logits_in_float32(policy, genotype):
    expected = load_nasnet(SMALL, None, genotype=genotype, image_size=32, num_classes=7)
    keras.config.set_dtype_policy(policy)
    try:
        model = load_nasnet(SMALL, None, genotype=genotype, image_size=32, num_classes=7)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = model.get_layer("cell_1").output
    assert {tensor.dtype for tensor in (outputs if isinstance(outputs, list) else [outputs])} == {policy.removeprefix("mixed_")}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    model.set_weights(expected.get_weights())
    logits, exact = model(images(32)), expected(images(32))
    assert logits.dtype == tf.float32
    difference = np.abs(logits - exact).max() / np.abs(exact).max()
    assert 0 < difference < 0.1
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images(32), training=True) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(loss, model.trainable_variables))


def test_options_change_the_network_of_a_path(tiny_export):
    model = load_nasnet(tiny_export)
    assert (model.input.shape, model.output.shape) == ((None, 8, 8, 3), (None, 10))
    seven = load_nasnet(tiny_export, num_classes=7, dropout=0.4, drop_path=0.25, image_size=(12, 16), freeze=True)
    assert seven(images(12, 16)).shape == (2, 7)
    assert [weight.path for weight in seven.trainable_weights] == ["logits/kernel", "logits/bias"]
    assert next(layer.rate for layer in seven.layers if isinstance(layer, Dropout)) == 0.4
    assert seven.get_layer("cell_2").drop_path_rate == 0.25
    old, new = values(model), values(seven)
    assert all(np.array_equal(new[path], old[path]) for path in old if not path.startswith("logits"))
    same = load_nasnet(tiny_export, num_classes=10, image_size=8)
    np.testing.assert_array_equal(same(images(8)), model(images(8)))
    assert set(load_nasnet(tiny_export, features_only=True).output) == {"cell_0", "cell_1", "cell_2"}
    assert load_nasnet(tiny_export, include_top=False, pooling="max")(images(8)).shape == (
        2,
        model.get_layer("global_pool").output.shape[1],
    )
    fresh = values(load_nasnet(tiny_export, weights=None))
    assert not np.array_equal(fresh["logits/kernel"], old["logits/kernel"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = load_nasnet(tiny_export)
    finally:
        keras.config.set_dtype_policy("float32")
    assert mixed.get_layer("cell_0").output.dtype == "bfloat16"
    assert np.abs(mixed(images(8)) - model(images(8))).max() < 0.1 * np.abs(model(images(8))).max()
    with pytest.raises(InputError, match="weights: expected 'trained' or None with a path"):
        load_nasnet(tiny_export, weights="other.h5")
    with pytest.raises(InputError, match="dropout: expected a number"):
        load_nasnet(tiny_export, dropout=1)


def test_load_features_keeps_the_classifier_fresh(tiny_export, tmp_path):
    config = NetworkConfig(1, "cifar", 2.0, filters=4, batch_norm_momentum=0.8)
    model = build_network(tiny_genotype(), config, 3, 16)
    load.load_features(model, tiny_export)
    expected = values(load_nasnet(tiny_export))
    assert all(np.array_equal(value, expected[path]) for path, value in values(model).items() if not path.startswith("logits"))
    assert 0 < np.abs(values(model)["logits/kernel"]).max() <= 0.02  # small: large first gradients would spoil the features
    with pytest.raises(InputError, match="does not fit this network"):
        load.load_features(build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=6), 3, 16), tiny_export)
    with pytest.raises(InputError, match="no such file; expected a TF-slim checkpoint"):
        load.load_features(model, tmp_path / "none")
