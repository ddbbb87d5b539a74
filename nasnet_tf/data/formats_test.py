"""Both kinds of preprocessing, in training and in evaluation, with image files as they occur in real data sets."""

import base64
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.data import CifarPreprocessing, ImageNetPreprocessing
from nasnet_tf.testing import jpeg, png

WHOLE = ImageNetPreprocessing(image_size=8, distort_color=False, area_range=(1.0, 1.0), aspect_ratio_range=(1.0, 1.0))
COLOR = (200, 100, 50)
# 8x8 pixels of COLOR, as Photoshop writes them: an Adobe marker says that the inks are stored inverted.
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAIBEMR"
    "AE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAgHCf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AYCaBe1Tf/9k="
)
ADOBE = b"\xff\xee\x00\x0eAdobe\x00d\x00\x00\x00\x00\x00"
# A GIF of one pixel of COLOR, made by hand: a palette of two colors, then clear code, pixel 0, end code.
GIF = b"GIF89a\1\0\1\0\x80\0\0" + bytes(COLOR) + b"\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
NOISE = np.random.default_rng(0).integers(0, 256, [64, 64, 3]).astype(np.uint8)


def flat(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.broadcast_to(np.array(COLOR[:channels], np.uint8), [height, width, channels])


def written(mode: str, kind: str) -> bytes:
    """Returns an image of COLOR in a Pillow mode and file format, as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(np.array(flat(16, 16))).convert(mode).save(file, kind)
    return file.getvalue()


def prepared(encoded: bytes) -> list[np.ndarray]:
    """Returns the images that the preprocessings make, without normalization, in 0..255."""
    images = [WHOLE.view(encoded), (WHOLE.train(encoded, tf.constant([1, 1], tf.int64)) + 1) / 2, CifarPreprocessing(8).view(encoded)]
    return [image.numpy() * 255 for image in images]


GRAY = (124, 124, 124)  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: jpeg(flat(16, 16, 1)), (200, 200, 200), id="gray JPEG"),
        pytest.param(lambda: CMYK, COLOR, id="CMYK JPEG"),
        # Without the marker, these bytes mean full black ink.
        pytest.param(lambda: CMYK.replace(ADOBE, b""), (0, 0, 0), id="CMYK JPEG without Adobe marker"),
        pytest.param(lambda: jpeg(flat(1, 1)), COLOR, id="1x1 JPEG"),
        pytest.param(lambda: jpeg(flat(4000, 6000)), COLOR, id="huge JPEG"),
        pytest.param(lambda: png(flat(1, 1)), COLOR, id="1x1 PNG"),
        pytest.param(lambda: tf.io.encode_png(flat(16, 16).astype(np.uint16) * 257).numpy(), COLOR, id="16-bit PNG"),
        pytest.param(lambda: GIF, COLOR, id="GIF"),
        *(
            pytest.param(lambda mode=mode, kind=kind: written(mode, kind), expected, id=f"{mode} {kind}")
            for mode, kind, expected in (
                ("RGB", "JPEG", COLOR),
                ("L", "JPEG", GRAY),
                ("CMYK", "JPEG", COLOR),
                ("L", "PNG", GRAY),
                ("RGBA", "PNG", COLOR),
                ("RGB", "BMP", COLOR),
                ("L", "BMP", GRAY),
            )
        ),
    ],
)
def test_every_file_keeps_its_colors(make, expected):
    for image in prepared(make()):
        np.testing.assert_allclose(image, np.broadcast_to(expected, [8, 8, 3]), atol=2)


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, -1])
@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
def test_truncated_files_are_errors(encode, keep):
    encoded = encode(NOISE).numpy()
    truncated = encoded[: int(keep * len(encoded)) if isinstance(keep, float) else keep]
    for prepare in (WHOLE.evaluate, lambda encoded: WHOLE.train(encoded, tf.constant([1, 1], tf.int64))):
        if encode is tf.io.encode_png and keep == -1:
            continue  # the last byte of a PNG is a checksum after its pixels
        with pytest.raises(tf.errors.InvalidArgumentError):
            prepare(truncated)
