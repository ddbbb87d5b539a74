"""Tests that images come into a network's range, eagerly and in graphs, and that logits and probabilities become names."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import nasnet_tf
from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, imagenet_classes, preprocessing_from_config
from nasnet_tf.serving.hub import load
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.images import decode_predictions, preprocess
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.hub.naming import class_names
from nasnet_tf.serving.hub.network_classifier import Classifier
from nasnet_tf.serving.hub.sources import NamedNetwork
from nasnet_tf.training import work_folder

GREY = np.full([1, 4, 4, 3], 51, np.uint8)


@pytest.fixture
def export(tiny_export, tmp_path):
    return pathlib.Path(shutil.copytree(tiny_export, tmp_path / "export"))


def test_preprocess_states_its_range():
    np.testing.assert_allclose(preprocess(GREY), np.full([1, 4, 4, 3], -0.6), rtol=1e-6)
    np.testing.assert_allclose(preprocess(GREY, "cifar"), np.zeros([1, 4, 4, 3]))
    np.testing.assert_allclose(preprocess(GREY, "6 @ 700"), preprocess(GREY, "cifar"))  # the image size chooses the stem, as in load_nasnet
    for same in (
        GREY / np.float32(255),
        GREY / 255,
        GREY.astype(np.uint16) * 257,
        GREY.astype(np.int64),
        GREY.astype(np.int32).tolist(),
        tf.cast(GREY / 255, tf.float16),
    ):
        np.testing.assert_allclose(preprocess(same), preprocess(GREY), atol=1e-3)
    assert preprocess(np.zeros([0, 4, 4, 3], np.float32)).shape == (0, 4, 4, 3)


WRONG = [
    (GREY.astype(np.float32), r"expected floating-point images in \[0, 1\] \(or integers in 0..255\), got 51 to 51"),
    (np.array([-1.0, 1.0, 0.0], np.float32)[None, None, None], "got -1 to 1"),
    (np.array([np.nan, 1.0, 0.0], np.float32)[None, None, None], "got NaN"),
    (GREY.astype(np.int32) * 6, "expected int32 images in 0..255, got 306 to 306"),
    (GREY.astype(np.int64) - 52, "expected int64 images in 0..255, got -1 to -1"),
    (GREY.astype(np.int8), r"expected integers in 0..255 or floating-point numbers in \[0, 1\], got 'int8'"),
    (GREY.astype(bool), "got 'bool'"),
    (GREY.astype(np.complex64), "got 'complex64'"),
    (np.full([1, 4, 4, 3], "a"), "got 'string'"),
    (GREY[..., :1], r"expected images \[..., height, width, 3\], RGB, got \[1, 4, 4, 1\]"),
    (GREY[0, 0], r"got \[4, 3\]"),
    ([[1], [2, 3]], "expected images of one size, as numbers, got list"),
    (None, "expected images of one size, as numbers, got NoneType"),
]


@pytest.mark.parametrize(("images", "message"), WRONG)
def test_preprocess_refuses_wrong_images(images, message):
    with pytest.raises(InputError, match=message):
        preprocess(images)


@pytest.mark.parametrize(("images", "message"), WRONG[:5])
def test_preprocess_checks_in_graphs_too(images, message):
    mapped = tf.data.Dataset.from_tensors(images).map(preprocess)
    with pytest.raises(tf.errors.InvalidArgumentError, match="preprocess: expected .* images in"):
        next(iter(mapped))
    with pytest.raises(tf.errors.InvalidArgumentError, match="preprocess: expected"):
        tf.function(preprocess)(tf.constant(images))


def test_preprocess_builds_no_network(export, monkeypatch):
    def fail(*_):
        raise AssertionError("a network was built")

    monkeypatch.setattr("nasnet_tf.models.description.network_from_json", fail)
    expected = CifarPreprocessing(image_size=8).normalize(GREY / np.float32(255))
    np.testing.assert_allclose(preprocess(GREY, export), expected, atol=1e-6)
    for network in (export, str(export), "mobile"):
        (prepared,) = tf.data.Dataset.from_tensors(GREY).map(lambda images, network=network: preprocess(images, network))
        np.testing.assert_allclose(prepared, preprocess(GREY, network), atol=1e-6)
    assert class_names(export) == [str(digit) for digit in range(10)]


def damage(folder, name, change):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(change(content)))


def test_another_image_size_than_the_network_has(export):
    (export / "manifest.json").unlink()
    damage(export, "data.json", lambda data: data | {"preprocessing": data["preprocessing"] | {"image_size": 100_000}})
    with pytest.raises(InputError, match="data.json says image_size 100000, the network has 8 x 8; damaged or mixed up"):
        load_classifier(export)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("data.json", None, "data.json: damaged; cannot be read as JSON"),
        ("data.json", lambda data: [], r"data.json: damaged; expected an object, got \[\]"),
        ("data.json", lambda data: {}, "data.json: damaged; expected a list of names as class_names, got null"),
        ("data.json", lambda data: data | {"class_names": "abc"}, "expected a list of names as class_names"),
        ("data.json", lambda data: data | {"preprocessing": None}, "expected an object as preprocessing, got null"),
        ("data.json", lambda data: data | {"preprocessing": {"kind": "x"}}, "expected a 'kind' of cifar or imagenet, got 'x'"),
        ("data.json", lambda data: data | {"class_names": ["a", "b"]}, "data.json names 2 classes, the network of model.json has 10"),
        ("model.json", None, "model.json: cannot be read as the description of a network"),
        ("model.json", lambda model: {"config": {}}, "model.json: cannot be read as the description of a network"),
    ],
)
def test_damaged_descriptions_are_refused_in_one_line(export, name, change, message):
    if change is None:
        (export / name).write_text((export / name).read_text()[:50])
    else:
        damage(export, name, change)
    uses = [load_nasnet] if name == "model.json" or "2 classes" in message else [load_classifier, class_names]
    for use in uses:
        with pytest.raises(InputError, match=message) as caught:
            use(export)
        assert "\n" not in str(caught.value)
    if "kind" not in message:
        with pytest.raises(InputError, match=message):
            work_folder.read_description(export)


def test_decode_predictions_names_the_most_probable_classes():
    logits = np.zeros([2, 1000], np.float32)
    logits[0, 1], logits[0, 0], logits[1, 999] = 20, 19, 30
    first, second = decode_predictions(logits, top=2)
    assert [(identity, name) for identity, name, _ in first] == [("n01443537", "goldfish"), ("n01440764", "tench")]
    assert first[0][2] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-4)
    assert second[0][1] == "toilet tissue"
    with_background = decode_predictions(np.pad(logits, [(0, 0), (1, 0)], constant_values=25), top=1)
    assert [row[0][1] for row in with_background] == ["background", "toilet tissue"]
    # Probabilities do not go through another softmax, which would flatten them.
    for probabilities in (tf.nn.softmax(logits), tf.cast(tf.nn.softmax(logits), tf.float16)):
        assert decode_predictions(probabilities, top=2)[0][0][2] == pytest.approx(first[0][2], rel=1e-3)
    for wrong, message in (
        (np.zeros([2, 10]), r"expected \[batch, 1000\] or \[batch, 1001\], got \[2, 10\]"),
        (np.full([1, 1000], np.nan), "expected finite numbers, got 'NaN or infinity'"),
        ("tench", "expected numbers .*, got str"),
    ):
        with pytest.raises(InputError, match=message):
            decode_predictions(wrong)
    with pytest.raises(InputError, match="top: expected an integer of 1 or more, got 0"):
        decode_predictions(logits, top=0)


def test_class_names_are_in_the_order_of_the_labels():
    assert [identity for identity, _ in imagenet_classes()] == tfds.builder("imagenet2012").info.features["label"].names


def test_wordnet_ids_become_words():
    """A network that was trained on imagenet2012 of TFDS, or on some of its folders, has such class names."""
    classifier = Classifier(["n01443537", "my cat", "n01440764"], {}, None)
    answer = classifier.best(np.array([0.5, 0.2, 0.3], np.float32), 3)
    assert [each[0] for each in answer] == ["goldfish", "tench", "my cat"]
    assert [each.wordnet_id for each in answer] == ["n01443537", "n01440764", ""]


def test_list_models_can_be_limited_to_pretrained_ones():
    assert nasnet_tf.list_models(pretrained=True) == ["mobile", "large"]
    assert {"mobile", "large", "cifar", "nasnet_b_4@1536"} <= set(nasnet_tf.list_models())


def test_every_public_name_can_be_loaded():
    for name in nasnet_tf.__all__:
        assert getattr(nasnet_tf, name) is not None


def test_a_named_network_may_be_measured_with_the_resize_of_its_public_weights(export, monkeypatch):
    """`evaluate` and `export` take this resize, exports keep it, and images are prepared with it."""
    monkeypatch.setattr(NamedNetwork, "model", lambda *_: None)
    description = load.load_named("mobile", "none", "tf1")[1]
    pixels = np.random.default_rng(0).integers(0, 256, [300, 300, 3]).astype(np.uint8)
    found = preprocessing_from_config(json.loads(json.dumps(description))["preprocessing"]).evaluate(tf.io.encode_png(pixels))
    part = tf.image.central_crop(pixels, 0.875)[tf.newaxis]
    expected = tf.compat.v1.image.resize_bilinear(part, [224, 224], align_corners=False, half_pixel_centers=False)[0] / 127.5 - 1
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "resize" not in load.load_named("mobile", "none")[1]["preprocessing"]
    with pytest.raises(InputError, match="--resize: expected a network with ImageNet's preprocessing, got cifar"):
        load.load_named("cifar", "none", "tf1")
    with pytest.raises(InputError, match="--resize: can only be used with the name of a network"):
        load.load_named(str(export), "none", "tf1")
