"""load_nasnet as people use it: options, sizes, heads, features, downloads, and what must be refused."""

import functools
import hashlib
import http.server
import socketserver
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.data import CifarPreprocessing, ImageData, imagenet_classes
from nasnet_tf.errors import InputError
from nasnet_tf.genotype import format_genotype
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving import convert_weights, hub, keras_files, pretrained, saved_model
from nasnet_tf.serving.classifier import load_classifier
from nasnet_tf.serving.hub import endpoints_of, load_nasnet
from nasnet_tf.serving.images import decode_predictions, network_preprocessing, preprocess
from nasnet_tf.testing import tiny_genotype

SMALL = "1 @ 256"
IMAGENET = {"weights": None, "stem": "imagenet"}


def images(height, width=None):
    return tf.random.stateless_uniform([2, height, width or height, 3], [1, 2], -1, 1)


def values(model):
    return {weight.path: weight.numpy() for weight in model.weights}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """An export of a network with 10 classes on 8 x 8 digits."""
    config = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, batch_norm_momentum=0.8)
    model = build_network(tiny_genotype(), config, 10, 8)
    for index, weight in enumerate(model.weights):
        weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 1]) / 10)
    path = tmp_path_factory.mktemp("exports") / "tiny"
    saved_model.export(model, ImageData("digits", CifarPreprocessing(image_size=8, flip=False)).description(), path)
    return path


def test_names():
    model = nasnet_tf.load_nasnet("cifar", weights=None)
    assert (model.input.shape, model.output.shape) == ((None, 32, 32, 3), (None, 10))
    with pytest.raises(InputError, match="not one of the names mobile, .*large, cifar"):
        load_nasnet("huge")
    with pytest.raises(InputError, match="genotype and stem go with a size"):
        load_nasnet("NASNet-A (6 @ 4032)", genotype="nasnet_b")


@pytest.mark.parametrize("size", [96, 225, (64, 101), (None, None)])
def test_image_sizes(size):
    model = load_nasnet(SMALL, image_size=size, num_classes=7, **IMAGENET)
    shape = (size, size) if isinstance(size, int) else size if size[0] else (50, 70)
    assert model.input.shape == (None, *((size, size) if isinstance(size, int) else size), 3)
    logits = model(images(*shape))
    assert logits.shape == (2, 7)
    assert bool(tf.reduce_all(tf.math.is_finite(logits)))


def test_sizes_of_ones_own(tmp_path):
    path = tmp_path / "mine.textproto"
    path.write_text(format_genotype(tiny_genotype()))
    small, large = (load_nasnet("2@64", None, genotype=str(path), image_size=size) for size in (32, 65))
    assert (small.get_layer("stem").kind, small.output.shape[1]) == ("cifar", 10)
    assert (large.get_layer("stem").kind, large.output.shape[1]) == ("imagenet", 1000)
    assert small.get_layer("cell_3").cell == tiny_genotype().normal_cell
    assert load_nasnet("1@64", None, genotype=tiny_genotype(), image_size=32, stem="imagenet").get_layer("stem").kind == "imagenet"
    with pytest.raises(InputError, match="no pretrained weights are known for it, only for mobile, large"):
        load_nasnet("2@64", genotype=str(path))
    with pytest.raises(InputError, match="stem: expected 'cifar' or 'imagenet', got 'mnist'"):
        load_nasnet("2@64", None, stem="mnist")


def test_without_top():
    options = {"image_size": 64, "genotype": "nasnet_b", "include_top": False, **IMAGENET}  # several states to put side by side
    model = load_nasnet(SMALL, **options)
    features = model(images(64)).numpy()
    assert features.ndim == 4
    assert features.min() == 0  # behind the last ReLU
    for pooling, expected in (("avg", features.mean((1, 2))), ("max", features.max((1, 2)))):
        pooled = load_nasnet(SMALL, pooling=pooling, **options)
        for weight, value in zip(pooled.weights, model.get_weights(), strict=True):
            weight.assign(value)
        np.testing.assert_allclose(pooled(images(64)), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="pooling: expected 'avg', 'max' or None, got 'sum'"):
        load_nasnet(SMALL, pooling="sum", **options)
    with pytest.raises(InputError, match="pooling goes with include_top=False"):
        load_nasnet(SMALL, None, pooling="avg")


@pytest.mark.parametrize(("genotype", "last"), [("nasnet_a", 264), ("nasnet_b", 128)])
def test_features_as_a_pyramid(genotype, last):
    model = load_nasnet(SMALL, image_size=(64, 96), genotype=genotype, features_only=True, **IMAGENET)
    pyramid = model(images(64, 96))
    endpoints = endpoints_of(model)
    assert [endpoint.stride for endpoint in endpoints] == [2, 4, 8, 16, 32]
    assert [endpoint.name for endpoint in endpoints] == ["stem", "cell_stem_0", "cell_0", "cell_1", "cell_2"] == list(pyramid)
    assert endpoints[-1].channels == last
    for endpoint in endpoints[1:]:  # the stem has no padding
        assert pyramid[endpoint.name].shape == (2, 64 // endpoint.stride, 96 // endpoint.stride, endpoint.channels)


def test_named_endpoints():
    whole = load_nasnet(SMALL, image_size=32, weights=None)
    assert [(endpoint.name, endpoint.stride) for endpoint in endpoints_of(whole)] == [
        ("stem", 1),
        ("cell_0", 1),
        ("reduction_cell_0", 2),
        ("cell_1", 2),
        ("reduction_cell_1", 4),
        ("cell_2", 4),
    ]
    model = load_nasnet(SMALL, image_size=32, weights=None, endpoints=["reduction_cell_1", "cell_0"])
    assert set(model.output) == {"reduction_cell_1", "cell_0"}
    assert not any(weight.path.startswith(("cell_2", "logits")) for weight in model.weights)
    with pytest.raises(InputError, match="endpoint 'cell_9': expected one of stem, cell_0, reduction_cell_0"):
        load_nasnet(SMALL, image_size=32, weights=None, endpoints=["cell_9"])
    with pytest.raises(InputError, match="num_classes has no meaning"):
        load_nasnet(SMALL, None, features_only=True, num_classes=3)


@pytest.mark.parametrize("freeze", [True, "cell_1"])
def test_gradients_flow_wherever_it_is_not_frozen(freeze):
    model = load_nasnet(SMALL, None, image_size=32, num_classes=3, dropout=0.2, drop_path=0.1, freeze=freeze)
    before = values(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 2], model(images(32), training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert trained == ({"logits"} if freeze is True else {"reduction_cell_1", "cell_2", "logits"})
    changed = {path.split("/")[0] for path, value in values(model).items() if not np.array_equal(value, before[path])}
    assert changed == trained - {"logits"}  # moving statistics, of what is not frozen


def test_rates():
    model = load_nasnet(SMALL, None, image_size=32, dropout=0.25, drop_path=0.5)
    assert model.get_layer("dropout").rate == 0.25
    assert [model.get_layer(name).drop_path_rate for name in ("cell_0", "cell_2")] == [0.1, 0.5]
    with pytest.raises(InputError, match="dropout_rate: expected a probability"):
        load_nasnet(SMALL, None, dropout=1.5)


@pytest.mark.parametrize(
    ("policy", "genotype"), [("mixed_bfloat16", "nasnet_a"), ("mixed_float16", "nasnet_b"), ("mixed_bfloat16", "nasnet_c")]
)
def test_mixed_precision(policy, genotype):
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


def test_options_of_a_path(export):
    model = load_nasnet(export)
    assert (model.input.shape, model.output.shape) == ((None, 8, 8, 3), (None, 10))
    seven = load_nasnet(export, num_classes=7, dropout=0.4, drop_path=0.25, image_size=(12, 16), freeze=True)
    assert seven(images(12, 16)).shape == (2, 7)
    assert [weight.path for weight in seven.trainable_weights] == ["logits/kernel", "logits/bias"]
    assert next(layer.rate for layer in seven.layers if isinstance(layer, Dropout)) == 0.4
    assert seven.get_layer("cell_2").drop_path_rate == 0.25
    old, new = values(model), values(seven)
    assert all(np.array_equal(new[path], old[path]) for path in old if not path.startswith("logits"))
    same = load_nasnet(export, num_classes=10, image_size=8)
    np.testing.assert_array_equal(same(images(8)), model(images(8)))
    assert set(load_nasnet(export, features_only=True).output) == {"cell_0", "cell_1", "cell_2"}
    assert load_nasnet(export, include_top=False, pooling="max")(images(8)).shape == (2, model.get_layer("global_pool").output.shape[1])
    fresh = values(load_nasnet(export, weights=None))
    assert not np.array_equal(fresh["logits/kernel"], old["logits/kernel"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = load_nasnet(export)
    finally:
        keras.config.set_dtype_policy("float32")
    assert mixed.get_layer("cell_0").output.dtype == "bfloat16"
    assert np.abs(mixed(images(8)) - model(images(8))).max() < 0.1 * np.abs(model(images(8))).max()
    with pytest.raises(InputError, match="weights: expected 'trained' or None with a path"):
        load_nasnet(export, weights="other.h5")
    with pytest.raises(InputError, match="dropout: expected a probability"):
        load_nasnet(export, dropout=1)


def test_load_features(export, tmp_path):
    config = NetworkConfig(1, "cifar", 2.0, filters=4, batch_norm_momentum=0.8)
    model = build_network(tiny_genotype(), config, 3, 16)
    hub.load_features(model, export)
    expected = values(load_nasnet(export))
    assert all(np.array_equal(value, expected[path]) for path, value in values(model).items() if not path.startswith("logits"))
    assert 0 < np.abs(values(model)["logits/kernel"]).max() <= 0.02  # small: large first gradients would spoil the features
    with pytest.raises(InputError, match="is of another network"):
        hub.load_features(build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=6), 3, 16), export)
    with pytest.raises(InputError, match="no such weights"):
        hub.load_features(model, tmp_path / "none")


@pytest.fixture
def public(tmp_path, monkeypatch):
    """A server with the public files of a network of our own, small, "mobile"."""
    small = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=192)
    monkeypatch.setitem(hub.ZOO, "mobile", hub.dataclasses.replace(hub.ZOO["mobile"], config=small, image_size=32))
    served = tmp_path / "server"
    served.mkdir()
    source = load_nasnet("mobile", weights=None)
    for weight in source.weights:
        weight.assign(tf.random.stateless_uniform(weight.shape, [len(weight.path), 1]) / 3)
    convert_weights.save_weights(source, served / "NASNet-mobile.h5")
    convert_weights.save_weights(load_nasnet("mobile", None, include_top=False), served / "NASNet-mobile-no-top.h5")
    hashes = {
        hashlib.md5((served / f"NASNet-mobile{suffix}.h5").read_bytes()).hexdigest(): ("mobile", not suffix) for suffix in ("", "-no-top")
    }
    for module in (keras_files, pretrained):
        monkeypatch.setattr(module, "PUBLIC_KERAS_FILES", hashes)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)  # HTTPServer would ask a name server for its own name
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(pretrained, "BASE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield source, served
    server.shutdown()
    thread.join()
    server.server_close()


def test_public_weights_are_fetched_once_and_checked(public, tmp_path):
    source, served = public
    cached = tmp_path / "keras" / "models" / "nasnet_mobile.h5"
    model = load_nasnet("mobile")
    np.testing.assert_array_equal(model(images(32)), source(images(32)))
    assert hashlib.md5(cached.read_bytes()).digest() == hashlib.md5((served / "NASNet-mobile.h5").read_bytes()).digest()
    (served / "NASNet-mobile.h5").unlink()
    again = load_nasnet("mobile", "imagenet")
    np.testing.assert_array_equal(again(images(32)), source(images(32)))
    # With classes of one's own, or without any, the smaller file is enough.
    assert load_nasnet("mobile", num_classes=7)(images(32)).shape == (2, 7)
    assert (tmp_path / "keras" / "models" / "nasnet_mobile_no_top.h5").is_file()
    cached.write_bytes(b"something else")
    with pytest.raises(InputError) as caught:
        load_nasnet("mobile")
    assert all(words in str(caught.value) for words in (str(cached), "has md5", "expected", "put the file of http", "weights=None"))
    assert cached.read_bytes() == b"something else"  # it may be dear to somebody


def test_a_download_that_fails_leaves_nothing_behind(public, tmp_path):
    _, served = public
    whole = (served / "NASNet-mobile.h5").read_bytes()
    (served / "NASNet-mobile.h5").write_bytes(whole[:1000])
    with pytest.raises(InputError, match="has md5"):
        load_nasnet("mobile")
    (served / "NASNet-mobile.h5").unlink()
    with pytest.raises(InputError, match=r"cannot download the ImageNet weights of 'mobile' .*404.*put the file of"):
        load_nasnet("mobile")
    assert not (tmp_path / "keras" / "models" / "nasnet_mobile.h5").exists()
    (served / "NASNet-mobile.h5").write_bytes(whole)
    assert load_nasnet("mobile").output.shape == (None, 1000)


def test_classifier_of_a_named_network(public):
    source, _ = public
    pixels = tf.random.stateless_uniform([40, 60, 3], [1, 2], maxval=256, dtype=tf.int32)
    encoded = tf.io.encode_png(tf.cast(pixels, tf.uint8)).numpy()
    classifier = load_classifier("mobile")
    good, bad = classifier([encoded, b"no image"])
    assert bad is None
    preprocessing, names = network_preprocessing("mobile")
    np.testing.assert_allclose(good, tf.nn.softmax(source(preprocessing.evaluate(encoded)[None]))[0], rtol=1e-3, atol=1e-6)
    assert list(classifier.class_names) == names
    assert names[:2] == ["tench", "goldfish"]


def test_preprocess_states_its_range():
    grey = np.full([1, 4, 4, 3], 51, np.uint8)
    np.testing.assert_allclose(preprocess(grey), np.full([1, 4, 4, 3], -0.6), rtol=1e-6)
    np.testing.assert_allclose(preprocess(grey / np.float32(255)), preprocess(grey), rtol=1e-6)
    np.testing.assert_allclose(preprocess(grey, "cifar"), np.zeros([1, 4, 4, 3]))
    with pytest.raises(InputError, match=r"expected floating-point images in \[0, 1\] \(or integers in 0..255\), got 51 to 51"):
        preprocess(grey.astype(np.float32))
    with pytest.raises(InputError, match="got -1 to 1"):
        preprocess(np.array([-1.0, 1.0, 0.0], np.float32)[None, None, None])


def test_decode_predictions():
    logits = np.zeros([2, 1000], np.float32)
    logits[0, 1], logits[0, 0], logits[1, 999] = 20, 19, 30
    first, second = decode_predictions(logits, top=2)
    assert [(identity, name) for identity, name, _ in first] == [("n01443537", "goldfish"), ("n01440764", "tench")]
    assert first[0][2] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-4)
    assert second[0][1] == "toilet tissue"
    with_background = decode_predictions(np.pad(logits, [(0, 0), (1, 0)], constant_values=25), top=1)
    assert [row[0][1] for row in with_background] == ["background", "toilet tissue"]
    with pytest.raises(InputError, match=r"expected logits \[batch, 1000\] or \[batch, 1001\], got \[2, 10\]"):
        decode_predictions(np.zeros([2, 10]))


def test_class_names_are_in_the_order_of_the_labels():
    import tensorflow_datasets as tfds

    assert [identity for identity, _ in imagenet_classes()] == tfds.builder("imagenet2012").info.features["label"].names
