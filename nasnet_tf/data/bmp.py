"""Decodes BMP files, including those with palettes, 16-bit colors or other color orders, which TensorFlow misreads or refuses.

The format is described at https://learn.microsoft.com/windows/win32/gdi/bitmap-storage. Everything here runs in a TensorFlow graph.
"""

from typing import NamedTuple

import tensorflow as tf

from nasnet_tf.data.refusal import refuse_unless

_HEAD_BYTES = 70  # file header, information header and masks
_OS2_HEADER = 12  # bytes of OS/2's information header, which has 16-bit sides and 3 bytes for each color of the palette
_RGB, _MASKS, _MASKS_AND_ALPHA = 0, 3, 6  # supported values of the field "compression"; the others are run-length encoding, JPEG and PNG
_STANDARD_MASKS = (0xFF0000, 0xFF00, 0xFF)  # red, green, blue
_MASKS_OF_16_BITS = (0x7C00, 0x3E0, 0x1F)


class BmpHeader(NamedTuple):
    """The header of a BMP file. Fields are int64 [], but masks is int64 [3], and is_os2 and is_top_down are bool []."""

    data_start: tf.Tensor
    palette_start: tf.Tensor
    is_os2: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    is_top_down: tf.Tensor
    bits: tf.Tensor
    compression: tf.Tensor
    colors: tf.Tensor
    masks: tf.Tensor


def bmp_header(encoded: tf.Tensor) -> BmpHeader:
    """Reads the header of a BMP file, string []. Bytes beyond the end of the file count as zeros."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, _HEAD_BYTES) + "\0" * _HEAD_BYTES, tf.uint8)[:_HEAD_BYTES], tf.int64)

    def number(place, size=4):
        return tf.reduce_sum(head[place : place + size] * [256**index for index in range(size)])

    header_size = number(14)
    is_os2 = header_size == _OS2_HEADER
    height = tf.where(is_os2, number(20, 2), number(22))
    is_top_down = height >= 2**31
    bits, compression = tf.where(is_os2, number(24, 2), number(28, 2)), tf.where(is_os2, tf.constant(0, tf.int64), number(30))
    most, used = tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.minimum(bits, 8)), number(46)
    colors = tf.where(is_os2 | (used == 0) | (used > most), most, used)
    has_masks = (compression == _MASKS) | (compression == _MASKS_AND_ALPHA)
    masks = tf.stack([number(54), number(58), number(62)])
    masks = tf.where(has_masks, masks, tf.where(bits == 16, tf.constant(_MASKS_OF_16_BITS, tf.int64), _STANDARD_MASKS))
    return BmpHeader(
        data_start=number(10),
        palette_start=14 + header_size,
        is_os2=is_os2,
        width=tf.where(is_os2, number(18, 2), number(18)),
        height=tf.where(is_top_down, 2**32 - height, height),
        is_top_down=is_top_down,
        bits=bits,
        compression=compression,
        colors=colors,
        masks=masks,
    )


def decode_bmp(encoded: tf.Tensor, header: BmpHeader) -> tf.Tensor:
    """Decodes an uncompressed BMP file, string [], to uint8 [height, width, 3], RGB. The caller checks the size of the image first.

    Raises:
      tf.errors.InvalidArgumentError: the file is compressed or damaged.
    """
    bits, compression = header.bits, header.compression
    has_masks = (compression == _MASKS) | (compression == _MASKS_AND_ALPHA)
    is_known = tf.where(has_masks, _is_one_of(bits, 16, 32), (compression == _RGB) & _is_one_of(bits, 1, 2, 4, 8, 16, 24, 32))
    is_known &= (header.width > 0) & (header.height > 0) & ~(has_masks & tf.reduce_any(header.masks == 0))
    called = ["a BMP of ", bits, " bits with compression ", compression, "; expected 1, 2, 4, 8, 16, 24 or 32 bits and no compression"]
    with tf.control_dependencies([refuse_unless(is_known, *called)]):
        is_standard = ~has_masks | tf.reduce_all(header.masks == _STANDARD_MASKS)
        kind = tf.where(bits <= 8, 1, tf.where((bits == 16) | ~is_standard, 2, tf.where(header.is_os2, 3, 0)))
    image = tf.switch_case(
        kind,
        [
            lambda: tf.io.decode_bmp(encoded)[..., :3],
            lambda: _oriented(header, _decode_palette(encoded, header)),
            lambda: _oriented(header, _decode_masks(encoded, header)),
            lambda: _oriented(
                header, tf.reshape(_rows(encoded, header)[:, : 3 * header.width], [header.height, header.width, 3])[..., ::-1]
            ),
        ],
    )
    return tf.ensure_shape(image, [None, None, 3])


def _is_one_of(value: tf.Tensor, *known: int) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(known, tf.int64))


def _rows(encoded: tf.Tensor, header: BmpHeader) -> tf.Tensor:
    """Returns the rows of pixels as they are stored in the file, uint8 [height, bytes per row]."""
    row_bytes = (header.bits * header.width + 31) // 32 * 4
    data = _bytes(encoded, header.data_start, row_bytes * header.height)
    with tf.control_dependencies([refuse_unless(tf.size(data, tf.int64) == row_bytes * header.height, "a BMP that is cut short")]):
        return tf.reshape(data, [header.height, row_bytes])


def _bytes(encoded: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns the bytes from `start`, uint8 [count], or fewer if the file ends first."""
    start = tf.minimum(start, tf.cast(tf.strings.length(encoded), tf.int64))
    return tf.io.decode_raw(tf.strings.substr(encoded, start, count), tf.uint8)


def _oriented(header: BmpHeader, image: tf.Tensor) -> tf.Tensor:
    return tf.cond(header.is_top_down, lambda: image, lambda: image[::-1])


def _decode_palette(encoded: tf.Tensor, header: BmpHeader) -> tf.Tensor:
    entry_bytes = tf.where(header.is_os2, tf.constant(3, tf.int64), 4)
    entries = _bytes(encoded, header.palette_start, header.colors * entry_bytes)
    whole = tf.size(entries, tf.int64) // entry_bytes
    palette = tf.reshape(entries[: whole * entry_bytes], [whole, entry_bytes])[:, 2::-1]
    palette = tf.pad(palette, [[0, 256 - whole], [0, 0]])  # colors that a damaged file uses but does not list become black
    bits = tf.cast(header.bits, tf.uint8)
    shifts = tf.cast(tf.range(8 // header.bits - 1, -1, -1), tf.uint8) * bits
    numbers = tf.bitwise.right_shift(_rows(encoded, header)[..., None], shifts)
    numbers = tf.bitwise.bitwise_and(numbers, tf.cast(2**header.bits - 1, tf.uint8))
    numbers = tf.reshape(numbers, [header.height, -1])[:, : header.width]
    return tf.gather(palette, tf.cast(numbers, tf.int32))


def _decode_masks(encoded: tf.Tensor, header: BmpHeader) -> tf.Tensor:
    pixel_bytes = header.bits // 8
    data = _rows(encoded, header)[:, : header.width * pixel_bytes]
    data = tf.cast(tf.reshape(data, [header.height, header.width, pixel_bytes]), tf.int64)
    pixels = tf.reduce_sum(data * tf.bitwise.left_shift(tf.constant(1, tf.int64), 8 * tf.range(pixel_bytes)), axis=-1)
    lowest = tf.bitwise.bitwise_and(header.masks, -header.masks)
    levels = tf.bitwise.bitwise_and(pixels[..., None], header.masks) // lowest
    return tf.cast(levels * 255 // (header.masks // lowest), tf.uint8)
