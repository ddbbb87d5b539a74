import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.data.imagenet import ImageNetPreprocessing, _distort_color
from nasnet_tf.data.sources import open_source
from nasnet_tf.testing import SHARED, jpeg, png

TFDS_DIR = SHARED / "data" / "tensorflow_datasets"
WHOLE = {"area_range": (1.0, 1.0), "aspect_ratio_range": (1.0, 1.0)}


def seed(number: int) -> tf.Tensor:
    return tf.constant([1, number], tf.int64)


def test_evaluation_keeps_the_central_part():
    pixels = np.full([16, 16, 3], 255)
    pixels[4:12, 4:12] = 0
    half = ImageNetPreprocessing(image_size=8, central_fraction=0.5).evaluate(png(pixels))
    np.testing.assert_array_equal(half, np.full([8, 8, 3], -1.0))
    whole = ImageNetPreprocessing(image_size=16, central_fraction=1.0).evaluate(png(pixels))
    np.testing.assert_array_equal(whole, np.where(pixels > 0, 1.0, -1.0))


def test_evaluation_of_a_standard_size_by_hand():
    # 256 pixels, fraction 0.875: pixels 16..239 come out as they are.
    pixels = np.broadcast_to(np.arange(256)[None, :, None], [256, 256, 3])
    image = ImageNetPreprocessing().evaluate(png(pixels))
    assert image.shape == (224, 224, 3)
    np.testing.assert_allclose(image[100, :, 1], np.arange(16, 240) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("resize", "columns", "expected"),
    [
        ("tf2", [0, 60, 100, 240], [30, 170]),  # between the centers: halfway between two pixels
        ("tf1", [0, 60, 100, 240], [0, 100]),  # every second pixel
        ("tf1", [0, 60, 100], [0, 80]),  # pixel 0 and, at 1.5, halfway between 1 and 2
    ],
)
def test_resizes_by_hand(resize, columns, expected):
    pixels = np.broadcast_to(np.array(columns)[None, :, None], [len(columns), len(columns), 3])
    preprocessing = ImageNetPreprocessing(2, 1.0, distort_color=False, resize=resize, **WHOLE)
    expected = np.array(expected) / 127.5 - 1
    np.testing.assert_allclose(preprocessing.evaluate(png(pixels))[0, :, 0], expected, atol=1e-6)
    trained = preprocessing.train(png(pixels), seed(0))[0, :, 0]
    assert np.allclose(trained, expected, atol=1e-6) or np.allclose(trained, expected[::-1], atol=1e-6)


def test_normalize_by_hand():
    images = tf.constant([0.0, 0.5, 1.0])[None, :, None]
    np.testing.assert_array_equal(ImageNetPreprocessing().normalize(images)[0, :, 0], [-1, 0, 1])


@pytest.mark.parametrize("encode", [png, jpeg])
def test_whole_image_crop_is_the_image_or_its_mirror(encode):
    pixels = np.broadcast_to(np.linspace(0, 255, 16)[None, :, None], [16, 16, 3])
    preprocessing = ImageNetPreprocessing(image_size=16, distort_color=False, **WHOLE)
    mirrored = []
    for number in range(20):
        image = preprocessing.train(encode(pixels), seed(number)).numpy()
        mirrored.append(np.allclose(image, pixels[:, ::-1] / 127.5 - 1, atol=0.1))
        assert mirrored[-1] or np.allclose(image, pixels / 127.5 - 1, atol=0.1)
    assert 3 <= sum(mirrored) <= 17


@pytest.mark.parametrize("encode", [png, jpeg])
def test_crops_cover_the_given_area(encode):
    # A gray level tells the column: the range of levels in a crop is the fraction of the width that it covers.
    pixels = np.broadcast_to(np.linspace(0, 255, 200)[None, :, None], [200, 200, 3])

    def widths(**fields):
        preprocessing = ImageNetPreprocessing(image_size=32, distort_color=False, **fields)
        images = [preprocessing.train(encode(pixels), seed(number)).numpy() for number in range(30)]
        return [(image.max() - image.min()) / 2 for image in images]

    small = widths(area_range=(0.25, 0.25), aspect_ratio_range=(1.0, 1.0))
    np.testing.assert_allclose(small, 0.5, atol=0.06)
    wide = widths(area_range=(0.24, 0.26), aspect_ratio_range=(1.9, 2.1))
    np.testing.assert_allclose(wide, 0.5 * 2**0.5, atol=0.06)
    default = widths()
    assert min(default) < 0.5
    assert max(default) > 0.8


def test_jpeg_and_png_take_the_same_crop():
    pixels = np.broadcast_to(np.linspace(0, 255, 64)[None, :, None], [64, 64, 3])
    preprocessing = ImageNetPreprocessing(image_size=16)
    for number in range(3):
        images = [preprocessing.train(encode(pixels), seed(number)) for encode in (png, jpeg)]
        np.testing.assert_allclose(*images, atol=0.05)


def test_colors_are_changed_within_limits():
    pixels = np.full([8, 8, 3], (100, 120, 140))
    plain = ImageNetPreprocessing(image_size=8, distort_color=False, **WHOLE)
    np.testing.assert_allclose(plain.train(png(pixels), seed(0)), pixels / 127.5 - 1, atol=1e-5)
    spreads, means = [], []
    for number in range(40):
        pixel = (ImageNetPreprocessing(image_size=8, **WHOLE).train(png(pixels), seed(number)).numpy()[0, 0] + 1) * 127.5
        means.append(pixel.max())
        spreads.append((pixel[2] - pixel[0]) / pixel[2])
    # The saturation 40 / 140 is scaled by 0.5 to 1.5, at a value (the largest channel) shifted by up to 32.
    assert 0.5 * 40 / (140 + 32) - 1e-3 < min(spreads) < max(spreads) < 1.5 * 40 / (140 - 32) + 1e-3
    assert 140 - 32.01 < min(means) < 120
    assert 160 < max(means) < 140 + 32.01


def test_brightness_and_saturation_are_changed_in_either_order():
    image = tf.constant(np.random.default_rng(0).uniform(0, 1, [16, 16, 3]), tf.float32)
    seen = set()
    for number in range(10):
        _, brightness_seed, saturation_seed = tf.unstack(tf.random.split(seed(number), 3))
        changes = [
            lambda image, seed=brightness_seed: tf.image.stateless_random_brightness(image, 32 / 255, seed),
            lambda image, seed=saturation_seed: tf.image.stateless_random_saturation(image, 0.5, 1.5, seed),
        ]
        expected = [tf.clip_by_value(last(first(image)), 0, 1) for first, last in (changes, changes[::-1])]
        changed = (_distort_color(255 * image, seed(number)) + 1) / 2
        matches = {order for order in range(2) if np.allclose(changed, expected[order], atol=1e-5)}
        assert matches
        seen |= matches if len(matches) == 1 else set()
    assert seen == {0, 1}


def test_colors_stay_in_range():
    for level in (0, 255):
        images = [ImageNetPreprocessing(image_size=8).train(png(np.full([8, 8, 3], level)), seed(number)) for number in range(10)]
        assert float(tf.reduce_min(images)) >= -1
        assert float(tf.reduce_max(images)) <= 1


def test_the_seed_determines_the_image():
    encoded = jpeg(np.random.default_rng(0).integers(0, 256, [40, 40, 3]))
    images = [ImageNetPreprocessing(image_size=16).train(encoded, seed(number)).numpy() for number in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.skipif(not TFDS_DIR.is_dir(), reason="needs prepared TFDS data")
def test_real_photographs_give_values_from_minus_one_to_one():
    preprocessing = ImageNetPreprocessing()
    for example in open_source("imagenet2012", str(TFDS_DIR)).examples("train[:5]"):
        for image in (preprocessing.evaluate(example["image"]), preprocessing.train(example["image"], seed(0))):
            assert image.shape == (224, 224, 3)
            assert -1 <= float(tf.reduce_min(image)) < float(tf.reduce_max(image)) <= 1
