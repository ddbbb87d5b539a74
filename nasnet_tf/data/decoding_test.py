"""The limit on pixels, with files whose headers claim a wrong size and with files whose headers are right."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.data import decoding, limits
from nasnet_tf.data.imagenet import ImageNetPreprocessing

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")


def encoded(kind, width=7, height=5, **options):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 40)).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def decode():
    return tf.function(decoding.decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limit_is_on_width_times_height(kind, monkeypatch):
    content = encoded(kind)
    monkeypatch.setattr(limits, "MAX_PIXELS", 35)
    assert decoding.decode_image(content).shape == (5, 7, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 34)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image too large"):
        decoding.decode_image(content)


def test_the_limit_holds_for_lossless_webp(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 34)
    for content in (encoded("WEBP", lossless=True), encoded("WEBP", lossless=True, exif=b"Exif\0\0")):  # the second has the extended format
        with pytest.raises(tf.errors.InvalidArgumentError, match="image too large"):
            decoding.decode_image(content)


def huge_png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def test_huge_images_are_refused_inside_a_graph_before_they_are_decoded(decode):
    jpeg = bytearray(encoded("JPEG", 16, 16))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 30000, 30000)
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", 30000, -30000)
    gif = bytearray(encoded("GIF"))
    place = gif.index(b"\x2c\0\0\0\0") + 5  # size of the frame, on which TensorFlow's decoder relies; the screen stays small
    gif[place : place + 4] = struct.pack("<HH", 30000, 30000)
    for content in (huge_png(9000), bytes(jpeg), bytes(bmp), bytes(gif)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image too large: .* million pixels; expected at most 67.1 million"):
            decode(content)


def test_training_crops_of_huge_jpegs_are_refused():
    jpeg = bytearray(encoded("JPEG", 16, 16))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 30000, 30000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image too large"):
        ImageNetPreprocessing(8).train(bytes(jpeg), tf.constant([1, 2], tf.int64))


def test_the_reason_names_the_size_and_the_limit_can_be_raised(decode, monkeypatch):
    content = huge_png(9000)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode(content)
    message = "image too large: 9000 x 9000, 81.0 million pixels; expected at most 67.1 million (set NASNET_MAX_PIXELS to raise the limit)"
    assert reason(caught.value) == message
    monkeypatch.setenv("NASNET_MAX_PIXELS", "90_000_000")
    assert decoding.decode_image(content).shape == (9000, 9000, 3)
    monkeypatch.setenv("NASNET_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="NASNET_MAX_PIXELS: expected a number of pixels, 1 to 2147483647, got 'many'"):
        decoding.decode_image(content)


def test_all_frames_of_a_gif_count(decode, monkeypatch):
    noise = np.random.default_rng(1).integers(0, 255, [3, 40, 50, 3], np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    content = encoded("GIF", 50, 40, save_all=True, append_images=frames, comment=b"x" * 600)
    assert decode(content).shape == (40, 50, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 4 * 2000)
    decoding.decode_image(content)
    monkeypatch.setattr(limits, "MAX_PIXELS", 4 * 2000 - 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image too large"):
        decoding.decode_image(content)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_cut_short_anywhere_end_in_an_error_or_an_image(kind, decode):
    content = encoded(kind)
    for length in (0, 1, 3, 9, 12, 20, 31, len(content) // 2, len(content) - 1):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert decode(content[:length]).shape[-1] == 3


def test_the_graph_is_traced_once_for_each_limit(monkeypatch):
    traces, decoded = [], decoding._decoded
    monkeypatch.setattr(decoding, "_decoded", lambda *arguments, **named: traces.append(named) or decoded(*arguments, **named))
    decoding._traced.cache_clear()
    files = tf.data.Dataset.from_tensors(encoded("PNG"))
    for limit, num_traces in ((1000, 1), (1000, 1), (34, 2)):
        monkeypatch.setenv(decoding.MAX_PIXELS_VARIABLE, str(limit))
        images = iter(files.map(decoding.decode_image))
        with contextlib.nullcontext() if limit >= 35 else pytest.raises(tf.errors.InvalidArgumentError, match="image too large"):
            assert next(images).shape == (5, 7, 3)
        assert len(traces) == num_traces
