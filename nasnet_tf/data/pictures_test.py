"""Compares image files of many kinds, decoded inside a graph, with Pillow: the pixels are equal, or the error is one line."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.base.errors import reason
from nasnet_tf.data.decoding import decode_image

ROWS, COLUMNS = np.mgrid[0:23, 0:37]
PHOTO = Image.fromarray(np.stack([COLUMNS * 6, ROWS * 10, (ROWS + COLUMNS) * 4], -1).astype(np.uint8))
GRAY = PHOTO.convert("L")
SIXTEEN = Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257)
MASKS_565 = (0xF800, 0x7E0, 0x1F)
TOLERANCES = {"JPEG CMYK": 3}  # Pillow converts inks to colors by another formula


def with_alpha(mode="RGBA"):
    image = PHOTO.convert(mode)
    image.putalpha(Image.fromarray((COLUMNS * 6).astype(np.uint8)))
    return image


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bmp(bits, rows, palette=b"", compression=0, masks=b"", header_size=40, is_top_down=False):
    """Returns a BMP file made by hand; rows: the bytes of each row, from the top."""
    height, width = ROWS.shape
    data = b"".join(row + bytes(-len(row) % 4) for row in (rows if is_top_down else rows[::-1]))
    if header_size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        fields = (header_size, width, -height if is_top_down else height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
        header = struct.pack("<IiiHHIIiiII", *fields)
        header += (masks + bytes(header_size))[: header_size - 40] if header_size > 40 else masks
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + palette + data


def palette_bmp(bits, entry=4, **options):
    image = PHOTO.quantize(2**bits, dither=Image.Dither.NONE)
    colors = np.zeros([2**bits, entry], np.uint8)
    listed = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[: 2**bits]
    colors[: len(listed), :3] = listed[:, ::-1]
    numbers = np.asarray(image)
    flags = (numbers[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = [np.packbits(row.reshape(-1)).tobytes() for row in flags]
    return bmp(bits, rows, colors.tobytes(), **options)


def masked_bmp(bits, masks, compression=3, **options):
    levels = np.asarray(PHOTO).astype(np.int64)
    pixels = np.zeros(ROWS.shape, np.int64)
    for channel, mask in enumerate(masks):
        lowest = mask & -mask
        pixels |= (levels[..., channel] * (mask // lowest) // 255) * lowest
    rows = [row.astype("<u2" if bits == 16 else "<u4").tobytes() for row in pixels]
    return bmp(bits, rows, compression=compression, masks=struct.pack("<IIII", *masks, 0) if compression else b"", **options)


PICTURES = {
    "BMP 1 bit": lambda: palette_bmp(1),
    "BMP 4 bits": lambda: palette_bmp(4),
    "BMP 8 bits": lambda: palette_bmp(8),
    "BMP 8 bits, top-down": lambda: palette_bmp(8, is_top_down=True),
    "BMP 8 bits, OS/2": lambda: palette_bmp(8, entry=3, header_size=12),
    "BMP 8 bits, version 5": lambda: palette_bmp(8, header_size=124),
    "BMP 8 bits of Pillow": lambda: saved(PHOTO.quantize(200), "BMP"),
    "BMP gray": lambda: saved(GRAY, "BMP"),
    "BMP black and white": lambda: saved(PHOTO.convert("1"), "BMP"),
    "BMP 16 bits, 555": lambda: masked_bmp(16, (0x7C00, 0x3E0, 0x1F), compression=0),
    "BMP 16 bits, 565": lambda: masked_bmp(16, MASKS_565),
    "BMP 16 bits, 565, version 4": lambda: masked_bmp(16, MASKS_565, header_size=108),
    "BMP 24 bits": lambda: saved(PHOTO, "BMP"),
    "BMP 24 bits, top-down": lambda: bmp(24, [row[:, ::-1].tobytes() for row in np.asarray(PHOTO)], is_top_down=True),
    "BMP 24 bits, OS/2": lambda: bmp(24, [row[:, ::-1].tobytes() for row in np.asarray(PHOTO)], header_size=12),
    "BMP 32 bits": lambda: masked_bmp(32, (0xFF0000, 0xFF00, 0xFF), compression=0),
    "BMP 32 bits, other order": lambda: masked_bmp(32, (0xFF000000, 0xFF0000, 0xFF00), header_size=56),
    "BMP 32 bits, alpha": lambda: saved(with_alpha(), "BMP"),
    "PNG 1 bit": lambda: saved(PHOTO.convert("1"), "PNG"),
    "PNG gray": lambda: saved(GRAY, "PNG"),
    "PNG gray, alpha": lambda: saved(with_alpha("L"), "PNG"),
    "PNG gray, transparent level": lambda: saved(GRAY, "PNG", transparency=50),
    "PNG color": lambda: saved(PHOTO, "PNG"),
    "PNG color, alpha": lambda: saved(with_alpha(), "PNG"),
    "PNG color, animated": lambda: saved(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(180)]),
    "PNG palette, 1 bit": lambda: saved(PHOTO.quantize(2), "PNG", bits=1),
    "PNG palette, 2 bits": lambda: saved(PHOTO.quantize(4), "PNG", bits=2),
    "PNG palette, 4 bits": lambda: saved(PHOTO.quantize(16), "PNG", bits=4),
    "PNG palette, 8 bits": lambda: saved(PHOTO.quantize(256), "PNG"),
    "PNG palette, transparent color": lambda: saved(PHOTO.quantize(200), "PNG", transparency=0),
    "PNG color, 16 bits": lambda: tf.io.encode_png(np.asarray(PHOTO).astype(np.uint16) * 257).numpy(),
    "GIF": lambda: saved(PHOTO, "GIF"),
    "GIF gray": lambda: saved(GRAY, "GIF"),
    "GIF interlaced": lambda: saved(PHOTO, "GIF", interlace=True),
    "GIF transparent": lambda: saved(PHOTO.quantize(64), "GIF", transparency=3),
    "GIF animated": lambda: saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(180)]),
    "WebP": lambda: saved(PHOTO, "WEBP", quality=90),
    "WebP gray": lambda: saved(GRAY, "WEBP", quality=90),
    "WebP alpha": lambda: saved(with_alpha(), "WEBP", quality=90),
    "WebP lossless": lambda: saved(PHOTO, "WEBP", lossless=True),
    "WebP lossless, alpha": lambda: saved(with_alpha(), "WEBP", lossless=True),
    "JPEG": lambda: saved(PHOTO, "JPEG", quality=95),
    "JPEG gray": lambda: saved(GRAY, "JPEG", quality=95),
    "JPEG black and white": lambda: saved(PHOTO.convert("1"), "JPEG", quality=100),
    "JPEG CMYK": lambda: saved(PHOTO.convert("CMYK"), "JPEG", quality=95),
    "JPEG progressive": lambda: saved(PHOTO, "JPEG", quality=95, progressive=True),
    "JPEG 4:4:4": lambda: saved(PHOTO, "JPEG", quality=95, subsampling=0),
    "JPEG of RGB": lambda: saved(PHOTO, "JPEG", quality=95, keep_rgb=True),
}
REFUSED = {
    "BMP, run lengths of 8 bits": (lambda: palette_bmp(8, compression=1), "a BMP of 8 bits with compression 1"),
    "BMP, run lengths of 4 bits": (lambda: palette_bmp(4, compression=2), "a BMP of 4 bits with compression 2"),
    "BMP, a PNG inside": (lambda: palette_bmp(8, compression=5), "with compression 5"),
    "BMP cut short": (lambda: palette_bmp(8)[:-1], "a BMP that is cut short"),
    "WebP animated": (lambda: saved(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(180)]), "an animated WebP"),
    "nothing": (lambda: b"", "an empty file"),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(100), "expected a JPEG, PNG, GIF, BMP or WebP file"),
    "JPEG XL in a container": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "expected a JPEG, PNG, GIF, BMP or WebP file"),
    **{
        kind: ((lambda kind=kind: saved(PHOTO, kind)), "expected a JPEG, PNG, GIF, BMP or WebP file")
        for kind in ("TIFF", "ICO", "PPM", "TGA")
    },
}


@pytest.fixture(scope="module")
def decode():
    return tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_of_pillow(name, decode):
    content = PICTURES[name]()
    image = Image.open(io.BytesIO(content))
    if name == "GIF transparent":  # transparent pixels have no right color; TensorFlow's decoder leaves them black
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    seen = np.asarray(image.convert("RGB"), np.int64)
    for image in (decode(content), decode_image(content)):
        np.testing.assert_allclose(image.numpy(), seen, atol=TOLERANCES.get(name, 1))


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_in_one_line(name, decode):
    make, message = REFUSED[name]
    for function in (decode, decode_image):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            function(make())
        assert message in reason(caught.value)
        assert "\n" not in reason(caught.value)


def test_16_bit_gray_keeps_its_range(decode):
    np.testing.assert_array_equal(decode(saved(SIXTEEN, "PNG")).numpy(), np.asarray(GRAY.convert("RGB")))
