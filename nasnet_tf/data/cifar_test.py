import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.data.cifar import CifarPreprocessing, _cutout_mask
from nasnet_tf.data.imagenet_test import seed
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.testing import png


def random_png(size: int) -> bytes:
    return png(np.random.default_rng(0).integers(0, 256, [size, size, 3]))


def test_whitening_equals_numbers_computed_by_hand():
    half = CifarPreprocessing(image_size=2).evaluate(png([[[0], [0]], [[100], [100]]]))  # mean 50, deviation 50
    np.testing.assert_allclose(half, np.array([[[-1] * 3, [-1] * 3], [[1] * 3, [1] * 3]]), atol=1e-6)
    # mean 10.25, variance 0.1875. If images were whitened in [0, 1], the deviation would be below its lower bound here.
    almost_constant = CifarPreprocessing(image_size=2).evaluate(png([[[10], [10]], [[10], [11]]]))
    np.testing.assert_allclose(almost_constant[:, :, 0], np.array([[-0.25, -0.25], [-0.25, 0.75]]) / 0.1875**0.5, atol=1e-5)


def test_normalize_takes_the_unit_range_and_any_batch_shape():
    preprocessing = CifarPreprocessing(image_size=8)
    encoded = random_png(8)
    images = tf.cast(tf.io.decode_png(encoded), tf.float32)[None, None] / 255
    np.testing.assert_allclose(preprocessing.normalize(images)[0, 0], preprocessing.evaluate(encoded), atol=1e-5)


def test_other_sizes_are_resized_with_antialiasing():
    stripes = np.zeros([64, 64, 1])
    stripes[::2] = 255  # without antialiasing, the half-size image of these stripes is not gray
    stripes[:, 32:] = 0
    image = CifarPreprocessing(image_size=32).evaluate(png(stripes))
    assert image.shape == (32, 32, 3)
    np.testing.assert_allclose(image[4:-4, :12], 1, atol=0.1)
    np.testing.assert_allclose(image[4:-4, 20:], -1, atol=0.1)


def test_training_image_is_a_window_of_the_upsampled_one():
    preprocessing = CifarPreprocessing(image_size=8, flip=False)
    encoded = random_png(8)
    upsampled = tf.image.resize(preprocessing.evaluate(encoded), [10, 10]).numpy()
    windows = {(y, x): upsampled[y : y + 8, x : x + 8] for y in range(3) for x in range(3)}
    seen = set()
    for number in range(40):
        image = preprocessing.train(encoded, seed(number)).numpy()
        seen |= {place for place, window in windows.items() if np.allclose(image, window, atol=1e-6)}
        assert any(np.allclose(image, window, atol=1e-6) for window in windows.values())
    assert len(seen) >= 7


def test_upsampled_by_a_quarter():
    # 32 -> 40: a bright column moves by at most 8 pixels, and by more than 5.
    pixels = np.zeros([32, 32, 1])
    pixels[:, 16] = 255
    preprocessing = CifarPreprocessing(flip=False)
    columns = [int(tf.argmax(preprocessing.train(png(pixels), seed(number))[0, :, 0])) for number in range(60)]
    assert max(columns) - min(columns) in (6, 7, 8)


def test_without_upsampling_nothing_is_cut_off():
    preprocessing = CifarPreprocessing(image_size=8, upsample=1.0, flip=False)
    content = random_png(8)
    np.testing.assert_allclose(preprocessing.train(content, seed(3)), preprocessing.evaluate(content), atol=1e-6)


def test_flip_mirrors_about_half_of_the_images():
    encoded = random_png(8)
    plain, flipping = CifarPreprocessing(8, flip=False), CifarPreprocessing(8, flip=True)
    mirrored = 0
    for number in range(40):
        image, other = plain.train(encoded, seed(number)).numpy(), flipping.train(encoded, seed(number)).numpy()
        is_mirrored = np.array_equal(other, image[:, ::-1])
        assert is_mirrored or np.array_equal(other, image)
        mirrored += is_mirrored
    assert 10 <= mirrored <= 30


@pytest.mark.parametrize(
    ("center", "cutout_size", "zeros"),
    [((16, 16), 16, 256), ((0, 0), 16, 64), ((31, 31), 16, 81), ((0, 16), 16, 128), ((0, 0), 3, 4), ((5, 5), 1, 1), ((7, 9), 64, 1024)],
)
def test_cutout_clears_the_part_of_the_square_inside_the_image(center, cutout_size, zeros):
    mask = _cutout_mask(tf.constant(center), 32, cutout_size)
    assert mask.shape == (32, 32, 1)
    assert int(tf.reduce_sum(1 - mask)) == zeros


def test_cutout_is_placed_around_its_center():
    mask = _cutout_mask(tf.constant([1, 5]), 8, 4)[:, :, 0].numpy()
    assert sorted(zip(*np.nonzero(mask == 0), strict=True)) == [(row, column) for row in range(3) for column in range(3, 7)]


def test_cutout_sets_a_square_of_the_training_image_to_zero():
    encoded = random_png(32)
    plain, cut = CifarPreprocessing(), CifarPreprocessing(cutout_size=16)
    places = set()
    for number in range(10):
        image, other = plain.train(encoded, seed(number)).numpy(), cut.train(encoded, seed(number)).numpy()
        changed = np.any(image != other, axis=-1)
        assert 64 <= changed.sum() <= 256
        assert np.all(other[changed] == 0)
        places.add(tuple(np.argwhere(changed)[0]))
    assert len(places) > 5


def test_the_seed_determines_the_image():
    preprocessing = CifarPreprocessing(image_size=8, cutout_size=4)
    encoded = random_png(8)
    images = [preprocessing.train(encoded, seed(number)).numpy() for number in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_the_preprocessing_for_tests_gives_equal_images():
    content = random_png(10)
    ours, stand_in = CifarPreprocessing(8, cutout_size=2), PngPreprocessing(8, cutout_size=2)
    np.testing.assert_array_equal(ours.train(content, seed(1)), stand_in.train(content, seed(1)))
    np.testing.assert_array_equal(ours.evaluate(content), stand_in.evaluate(content))
    assert ours.config() == stand_in.config()
