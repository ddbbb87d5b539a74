"""Tests explanations of a network with known evidence: the color of a place is the evidence for the class of that color."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageNetPreprocessing, imagenet_classes
from nasnet_tf.layers.normalization import LayerStyle
from nasnet_tf.models.heads import GlobalPool
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.network_classifier import Classifier
from nasnet_tf.testing import png

NAMES = ["red", "green", "blue"]


def colors(preprocessing, names=NAMES, several_labels=False):
    """Returns a classifier of colors: its hidden state is the picture in 4 x 4 places, its logits are the mean colors."""
    images = keras.Input((16, 16, 3))
    features = GlobalPool(LayerStyle(0.9, 1e-3))(keras.layers.AveragePooling2D(4)(images))
    model = keras.Model(images, keras.layers.Dense(len(names), use_bias=False)(features))
    model.layers[-1].set_weights([np.eye(3, len(names), dtype=np.float32)])
    return Classifier(names, preprocessing.config(), model, several_labels)


@pytest.fixture(scope="module")
def classify():
    """The classifier of colors, which sees the central part of pictures."""
    return colors(ImageNetPreprocessing(16))


def picture(height, width):
    """Returns (picture, seen box): black in the box but red in its upper left quarter and green in its lower right; white outside."""
    pixels = np.full([height, width, 3], 255, np.uint8)
    top, left, bottom, right = ImageNetPreprocessing().seen(height, width)
    middle, center = (top + bottom) // 2, (left + right) // 2
    pixels[top:bottom, left:right] = 0
    pixels[top:middle, left:center, 0] = 255
    pixels[middle:bottom, center:right, 1] = 200
    return pixels, (top, left, bottom, right)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 200), (301, 77), (16, 16)])
def test_heat_is_where_the_evidence_is_in_the_pictures_own_pixels(height, width, classify):
    pixels, (top, left, bottom, right) = picture(height, width)
    assert (classify.explain(pixels).name, classify(pixels)[0].name) == ("red", "red")
    red, green = classify.explain(pixels, "red"), classify.explain(png(pixels), "green")
    assert red.heat.shape == green.heat.shape == red.pixels.shape[:2] == (height, width)
    assert red.probability == pytest.approx(classify(pixels)[0].probability)
    quarter_h, quarter_w = (bottom - top) // 4, (right - left) // 4
    first = slice(top, top + quarter_h), slice(left, left + quarter_w)
    last = slice(bottom - quarter_h, bottom), slice(right - quarter_w, right)
    for explanation, there, elsewhere in ((red, first, last), (green, last, first)):
        assert explanation.heat[there].min() > 0.9
        assert explanation.heat[elsewhere].max() == 0
    assert red.heat[top:bottom, left + quarter_w * 3 :].max() == 0  # nothing to the right of it
    outside = np.ones([height, width], bool)
    outside[top:bottom, left:right] = False
    assert red.heat[outside].max(initial=0) == 0
    assert (red.pixels[outside] == 127).all()
    assert np.array_equal(red.pixels[last], pixels[last])  # a picture without heat does not change
    assert not np.array_equal(red.pixels[first], pixels[first])


def test_explanations_of_a_class_without_evidence_have_no_heat(classify):
    pixels, _ = picture(64, 64)
    found = classify.explain(pixels, "blue")
    assert found.heat.max() == 0
    whole = np.full([20, 30, 3], 255, np.uint8)
    assert colors(CifarPreprocessing(16)).explain(whole).heat.shape == (20, 30)


@pytest.mark.parametrize("fraction", [0.875, 0.5, 0.33, 1.0])
def test_the_part_that_is_seen_is_the_central_crop(fraction):
    for height, width in ((1, 1), (7, 10), (224, 331), (99, 100)):
        places = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), -1)
        crop = tf.image.central_crop(tf.constant(places), fraction).numpy()
        top, left, bottom, right = ImageNetPreprocessing(central_fraction=fraction).seen(height, width)
        assert (crop[0, 0].tolist(), crop[-1, -1].tolist()) == ([top, left], [bottom - 1, right - 1])
    assert CifarPreprocessing().seen(7, 10) == (0, 0, 7, 10)


def test_explanations_are_png_files(tmp_path):
    pixels, _ = picture(40, 50)
    (tmp_path / "in.png").write_bytes(png(pixels))
    classify = colors(ImageNetPreprocessing(16), several_labels=True)
    explanation = classify.explain(tmp_path / "in.png")
    explanation.save(tmp_path / "out.png")
    np.testing.assert_array_equal(tf.io.decode_png((tmp_path / "out.png").read_bytes()), explanation.pixels)
    assert explanation._repr_png_() == explanation.png() == (tmp_path / "out.png").read_bytes()
    assert explanation.probability == pytest.approx(classify(pixels, top=1)[0].probability)  # a sigmoid
    again = pickle.loads(pickle.dumps(classify)).explain(pixels)
    np.testing.assert_array_equal(again.pixels, explanation.pixels)


def test_any_of_our_networks_is_explained_but_not_graphs(tiny_network, tiny_export, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, [11, 13, 3]).astype(np.uint8)
    names = [f"class {number}" for number in range(10)]
    tiny_network.save(tmp_path / "mine.keras")
    classify = load_classifier(tiny_export)
    heats = [classify.explain(pixels, name).heat.max() for name in classify.class_names]
    best = int(np.argmax(heats))  # with random weights, a class may have no evidence for it
    found = [classify.explain(pixels, classify.class_names[best])]
    found += [load_classifier(each, class_names=names).explain(pixels, names[best]) for each in (tiny_network, tmp_path / "mine.keras")]
    for explanation in found:
        assert explanation.heat.shape == (11, 13)
        np.testing.assert_allclose(explanation.heat, found[0].heat, atol=1e-3)
    assert found[0].heat.max() > 0.5
    with pytest.raises(InputError, match="explain: .*tiny runs as a graph without gradients; expected .* work folder of the training"):
        load_classifier(tiny_export, trust_graph=True).explain(pixels)


def test_mistakes_give_one_line_errors(tmp_path):
    classify = colors(ImageNetPreprocessing(16))
    with pytest.raises(InputError, match="class_name: expected one of red, green, blue, got 'gren'; did you mean green"):
        classify.explain(picture(20, 20)[0], "gren")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="bad.png: cannot be decoded as an image: expected a JPEG"):
        classify.explain(tmp_path / "bad.png")
    with pytest.raises(InputError, match="gone.png: cannot be read"):
        classify.explain(tmp_path / "gone.png")
    classify.network.layers[-1].set_weights([np.full([3, 3], np.nan, np.float32)])
    with pytest.raises(InputError, match="explain: expected finite answers"):
        classify.explain(picture(20, 20)[0])


def test_classes_of_imagenet_are_found_by_words_and_by_id():
    classify = colors(ImageNetPreprocessing(16), [words for _, words in imagenet_classes()])
    pixels, _ = picture(32, 32)
    assert classify.explain(pixels, "n02123045").name == classify.explain(pixels, "tabby").name == "tabby"
    with pytest.raises(InputError, match="'crane' is the name of 2 classes; expected one of them by its WordNet id, n0\\d+ or n0\\d+"):
        classify.explain(pixels, "crane")
    by_id = colors(ImageNetPreprocessing(16), [identity for identity, _ in imagenet_classes()])
    assert by_id.explain(pixels, "tabby").name == "tabby"
