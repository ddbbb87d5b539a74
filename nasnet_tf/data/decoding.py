"""Image files into pixels, their size read from the header first: a few kilobytes may claim gigabytes.

All of it is TensorFlow graph, so that exported networks carry the limit too.
"""

import numpy as np
import tensorflow as tf

from nasnet_tf.data.orientation import displayed, exif_orientation

MAX_PIXELS = 2**26  # 201 MB of uint8 RGB; the largest image of ImageNet has 61 million
_HEADER_BYTES = 32
# Where a PNG, a BMP and the three kinds of WebP have their size. Of magic, width and height: place and bytes; then the byte order, how many
# numbers a side's field can hold, what is added to it, and by what the height's is divided first.
_SIZES = (
    (b"\x89PNG", (0, 4), (16, 4), (20, 4), "big", 2**32, 0, 1),
    (b"BM", (0, 2), (18, 4), (22, 4), "little", 2**32, 0, 1),
    (b"VP8X", (12, 4), (24, 3), (27, 3), "little", 2**24, 1, 1),
    (b"VP8L", (12, 4), (21, 4), (21, 4), "little", 2**14, 1, 2**14),
    (b"VP8 ", (12, 4), (26, 2), (28, 2), "little", 2**14, 0, 1),
)
_MAGICS = np.array([int.from_bytes(row[0], row[4]) for row in _SIZES], np.float64)
_RANGES, _ADDED, _DIVISORS = np.array([row[5:] for row in _SIZES], np.float64).T


def _field_weights() -> np.ndarray:
    """float64 [_HEADER_BYTES, 3 * kinds]: a header times these are its magics, widths and heights as numbers, were it of each kind."""
    weights = np.zeros([_HEADER_BYTES, 3, len(_SIZES)])
    for kind, (_, *fields, order, _, _, _) in enumerate(_SIZES):
        for field, (place, size) in enumerate(fields):
            powers = 256.0 ** np.arange(size)
            weights[place : place + size, field, kind] = powers[::-1] if order == "big" else powers
    return weights.reshape(_HEADER_BYTES, -1)


_FIELD_WEIGHTS = _field_weights()


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """string [], a JPEG, PNG, GIF (its first frame), BMP or WebP in colour or grey -> uint8 [height, width, 3], upright.

    Raises:
      tf.errors.InvalidArgumentError: not such a file, a damaged one, one of more than MAX_PIXELS pixels (of a GIF, in all frames), or an
        animated WebP.
    """
    encoded = tf.convert_to_tensor(encoded)
    with tf.control_dependencies([check_size(encoded)]):
        # TensorFlow 2.21 refuses a WebP with an alpha channel if asked for three channels.
        image = tf.cond(
            tf.strings.substr(encoded, 0, 4) == "RIFF",
            lambda: _decode_webp(encoded),
            lambda: displayed(tf.io.decode_image(encoded, channels=3, expand_animations=False), exif_orientation(encoded)),
        )
    image.set_shape([None, None, 3])
    return image


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    """The decoder of TensorFlow 2.21 writes beyond its memory if the file is animated: a flag of the extended format."""
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, 21) + "\0" * 21, tf.uint8), tf.int32)
    is_animated = tf.reduce_all(header[12:16] == list(b"VP8X")) & (header[20] & 2 != 0)
    with tf.control_dependencies([tf.debugging.Assert(~is_animated, ["an animated WebP; expected a still image"])]):
        return tf.io.decode_webp(encoded)[0, ..., :3]


def check_size(encoded: tf.Tensor) -> tf.Operation | None:
    """An op that fails for an image file, string [], of more than MAX_PIXELS pixels. It decodes nothing."""
    encoded = tf.convert_to_tensor(encoded)
    kind = tf.cast(tf.io.is_jpeg(encoded), tf.int32) + 2 * tf.cast(tf.strings.substr(encoded, 0, 4) == "GIF8", tf.int32)
    pixels = tf.switch_case(kind, [lambda: _header_pixels(encoded), lambda: _jpeg_pixels(encoded), lambda: _gif_pixels(encoded)])
    return tf.debugging.Assert(pixels <= MAX_PIXELS, ["image too large: expected at most", MAX_PIXELS, "pixels, its header says", pixels])


def _jpeg_pixels(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64))


def _header_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """int64 []: of a PNG, BMP or WebP, whose sizes stand at fixed places; 0 for anything else, which the decoder refuses.

    All kinds at once, in few ops: small images are decoded in no time, and this should not take as long.
    """
    padded = tf.strings.substr(encoded, 0, _HEADER_BYTES) + "\0" * _HEADER_BYTES
    header = tf.cast(tf.io.decode_raw(padded, tf.uint8)[None, :_HEADER_BYTES], tf.float64)
    magics, widths, heights = tf.unstack(tf.reshape(tf.matmul(header, _FIELD_WEIGHTS), [3, -1]))
    sides = tf.floor(tf.stack([widths, heights / _DIVISORS])) % _RANGES
    sides = tf.minimum(sides, 2.0**32 - sides) + _ADDED  # a BMP's height is negative where its top row comes first
    return tf.cast(tf.reduce_sum(tf.where(magics == _MAGICS, sides[0] * sides[1], 0.0)), tf.int64)


def _gif_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """int64 []: of all frames together, for TensorFlow's decoder reads them all and rests on their sizes, not on that of the screen.

    Walks over the blocks of the file (GIF89a specification, section 12 ff.): extensions and frames, each with its chain of data
    sub-blocks that begin with their length, of which 0 ends the chain.
    """
    content = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int64)
    length = tf.size(content, tf.int64)

    def byte(place):
        return tf.cond(place < length, lambda: content[place], lambda: tf.constant(0x3B, tf.int64))  # the trailer, where it is cut short

    def table_size(flags):
        return tf.where(flags >= 0x80, 3 * 2 ** (flags % 8 + 1), 0)

    def frame(place):
        width, height = byte(place + 5) + 256 * byte(place + 6), byte(place + 7) + 256 * byte(place + 8)
        return place + 11 + table_size(byte(place + 9)), width * height

    def step(place, pixels, in_data):
        def sub_block():
            size = byte(place)
            return place + 1 + size, pixels, size > 0

        def block():
            after, added = tf.cond(byte(place) == 0x2C, lambda: frame(place), lambda: (place + 2, tf.zeros([], tf.int64)))
            return after, pixels + added, tf.constant(True)

        return tf.cond(in_data, sub_block, block)

    def goes_on(place, pixels, in_data):
        return (place < length) & (pixels <= MAX_PIXELS) & (in_data | (byte(place) != 0x3B))

    start = 13 + table_size(byte(tf.constant(10, tf.int64)))
    return tf.while_loop(goes_on, step, (start, tf.zeros([], tf.int64), tf.constant(False)))[1]
