"""Compares pictures that are decoded and prepared without TensorFlow with TensorFlow's: the pixels are equal, or NotExact is raised."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageNetPreprocessing, decoding, limits, numpy_decoding, numpy_views
from nasnet_tf.testing import REPOSITORY

RNG = np.random.default_rng(0)
DECODE = tf.function(decoding.decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def pixels(height, width):
    """Returns an image that is like a photo: smooth, with some noise."""
    small = Image.fromarray(RNG.integers(0, 256, [max(2, height // 9), max(2, width // 9), 3], np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(smooth + RNG.integers(-20, 20, smooth.shape), 0, 255).astype(np.uint8))


def file_of(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def exact_files():
    for size in ((64, 64), (37, 51), (1, 1), (7, 200), (211, 340)):
        image = pixels(*size)
        gray, alpha = image.convert("L"), image.copy()
        alpha.putalpha(Image.fromarray(RNG.integers(0, 256, size, np.uint8)))
        for quality in (20, 75, 95):
            for subsampling in (0, 1, 2):
                yield file_of(image, "JPEG", quality=quality, subsampling=subsampling)
            yield file_of(image, "JPEG", quality=quality, progressive=True)
            yield file_of(gray, "JPEG", quality=quality)
            yield file_of(image, "WEBP", quality=quality)
            yield file_of(alpha, "WEBP", quality=quality)
        palette = image.quantize(200)
        for each in (image, gray, alpha, alpha.convert("LA"), gray.convert("1"), palette):
            yield file_of(each, "PNG")
        yield file_of(image.quantize(4), "PNG", bits=2)
        yield file_of(palette, "PNG", transparency=3)
        yield file_of(gray, "PNG", transparency=100)
        yield file_of(alpha, "WEBP", lossless=True)
    for orientation in range(10):
        for kind in ("JPEG", "PNG", "WEBP"):
            yield file_of(pixels(20, 30), kind, exif=exif(orientation))
    yield file_of(pixels(40, 30), "MPO", save_all=True, append_images=[pixels(20, 15)])  # a JPEG with a preview, as cameras write it
    for path in (*sorted((REPOSITORY / "testdata" / "bccd").glob("*.jpg")), *sorted((REPOSITORY / "docs" / "pictures").glob("*.png"))):
        yield path.read_bytes()


@pytest.fixture(scope="module")
def exact():
    return list(exact_files())


def test_pixels_are_those_of_tensorflow(exact):
    for number, content in enumerate(exact):
        np.testing.assert_array_equal(numpy_decoding.decode_image(content), DECODE(content), err_msg=str(number))


@pytest.mark.parametrize(
    "preprocessing",
    [
        CifarPreprocessing(32),
        CifarPreprocessing(8),
        CifarPreprocessing(64),
        ImageNetPreprocessing(96),
        ImageNetPreprocessing(331, resize="tf1", central_fraction=1.0),
        ImageNetPreprocessing(50, central_fraction=0.33),
    ],
)
def test_views_are_those_of_tensorflow(preprocessing, exact):
    view = tf.function(preprocessing.view, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    for content in [*exact[::4], file_of(pixels(200, 200), "PNG")]:  # a fraction of 0.33 keeps 66 or 68 of 200 pixels
        ours = numpy_views.view(numpy_decoding.decode_image(content), preprocessing.config())
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, view(content), rtol=0, atol=2e-6)
    np.testing.assert_allclose(ours, preprocessing.view(content), rtol=0, atol=2e-6)  # op by op, as `predict` runs a single batch


def other_files():
    image = pixels(40, 30)
    yield "a file that is no JPEG, PNG or WebP", file_of(image, "GIF")
    yield "a file that is no JPEG, PNG or WebP", file_of(image, "BMP")
    yield "a file that is no JPEG, PNG or WebP", b""
    yield "a 16-bit PNG", tf.io.encode_png(RNG.integers(0, 65536, [8, 8, 3], np.uint16)).numpy()
    yield "a JPEG file with CMYK colors", file_of(image.convert("CMYK"), "JPEG")
    yield "an animation", file_of(image, "WEBP", save_all=True, append_images=[pixels(40, 30)])
    for kind in ("JPEG", "PNG", "WEBP"):
        content = file_of(image, kind)
        for end in (15, len(content) // 2, len(content) - 2):
            yield "a damaged file", content[:end]
    content = bytearray(file_of(image, "PNG"))
    content[len(content) // 2] ^= 1
    yield "a damaged file", bytes(content)


def test_other_files_are_left_to_tensorflow():
    for message, content in other_files():
        with pytest.raises(numpy_decoding.NotExact, match=message):
            numpy_decoding.decode_image(content)


def test_damaged_files_are_refused_or_decoded_as_by_tensorflow(exact):
    """Files are cut short or changed at random; if this module decodes one, TensorFlow decodes it to equal pixels."""
    decoded = 0
    for number in range(300):
        content = bytearray(exact[RNG.integers(len(exact))])
        if len(content) > 20_000:
            continue
        if number % 2:
            content = content[: RNG.integers(1, len(content))]
        else:
            content[RNG.integers(len(content))] = RNG.integers(256)
        try:
            ours = numpy_decoding.decode_image(bytes(content))
        except numpy_decoding.NotExact:
            continue
        decoded += 1
        np.testing.assert_array_equal(ours, DECODE(bytes(content)))
    assert decoded > 20


def test_the_limit_of_pixels_holds(monkeypatch):
    content = file_of(pixels(5, 7), "PNG")
    monkeypatch.setattr(limits, "MAX_PIXELS", 35)
    assert numpy_decoding.decode_image(content).shape == (5, 7, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 34)
    with pytest.raises(numpy_decoding.NotExact, match="an image of 7 x 5 pixels"):
        numpy_decoding.decode_image(content)
    monkeypatch.setenv(limits.MAX_PIXELS_VARIABLE, "many")
    with pytest.raises(InputError, match="NASNET_MAX_PIXELS: expected a number"):
        numpy_decoding.decode_image(content)


def test_an_unknown_preprocessing_is_refused():
    good = ImageNetPreprocessing(8).config()
    numpy_views.check(good, "x")
    for changed in ({"kind": "other"}, {"image_size": 0}, {"image_size": "8"}, {"resize": "cubic"}, {"central_fraction": 2.0}):
        with pytest.raises(InputError, match="x: expected a 'kind' of cifar or imagenet"):
            numpy_views.check({**good, **changed}, "x")
    with pytest.raises(InputError, match="x: expected a 'kind' of cifar or imagenet"):
        numpy_views.check(None, "x")
