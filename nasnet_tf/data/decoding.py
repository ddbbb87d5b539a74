"""Decodes image files to pixels. The first bytes of a file decide its format.

The size in the header is checked before the pixels are decoded, because a file of a few kilobytes may claim gigabytes. Everything here runs
in a TensorFlow graph, so that exported networks follow the same rules.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from nasnet_tf.data.bmp import bmp_header, decode_bmp
from nasnet_tf.data.limits import MAX_PIXELS_VARIABLE, max_pixels
from nasnet_tf.data.orientation import APART, displayed, exif_orientation
from nasnet_tf.data.refusal import refuse_unless
from nasnet_tf.data.sixteen_bits import WHITE, to_eight_bits

_MILLION = 1e6
# Gives the same pixels as other programs; TensorFlow's default differs by up to 160 levels on high-quality scans.
DCT_METHOD = "INTEGER_ACCURATE"
# First bytes of the formats that are decoded; "?" matches any byte. TensorFlow knows more formats, but their sizes would not be checked.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF????WEBP")
_KNOWN = "JPEG, PNG, GIF, BMP or WebP"
_SIGNATURE_BYTES = 12


def decode_image(encoded: tf.Tensor, white_level: int = WHITE) -> tf.Tensor:
    """Decodes an image file to uint8 [height, width, 3], upright.

    Args:
      encoded: string [], a JPEG, PNG, GIF (its first frame), BMP or WebP file in color or gray.
      white_level: level of a 16-bit PNG that becomes 255.

    Raises:
      tf.errors.InvalidArgumentError: the file has another format or is damaged, has more than max_pixels() pixels (a GIF: in all frames
        together), or is an animated WebP or a compressed BMP.
    """
    encoded = tf.convert_to_tensor(encoded)
    if not tf.inside_function():
        return _decoded(encoded, white_level)
    return _traced(white_level, max_pixels())(encoded)


@functools.cache
def _traced(white_level: int, most_pixels: int) -> tf.types.experimental.PolymorphicFunction:
    """Returns the graph of decode_image for a level and a limit, traced once, because it is larger than the graphs of many networks."""
    decoded = functools.partial(_decoded, white_level=white_level)
    return tf.function(decoded, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def _decoded(encoded: tf.Tensor, white_level: int) -> tf.Tensor:
    image = tf.switch_case(
        _kind(encoded),
        [
            lambda: _refused(encoded),
            lambda: _decode_jpeg(encoded),
            lambda: _decode_png(encoded, white_level),
            lambda: _apart(_decode_gif, encoded),
            lambda: _apart(_decode_bmp, encoded),
            lambda: _apart(_decode_webp, encoded),
        ],
    )
    image = displayed(image, exif_orientation(encoded))  # once for all formats, because reading the tags is a third of this graph
    image.set_shape([None, None, 3])
    return image


def _apart(decode: Callable[[tf.Tensor], tf.Tensor], encoded: tf.Tensor) -> tf.Tensor:
    """Calls a decoder. In a graph, it becomes a function that is not inlined, because most data sets have no file of its format."""
    if not tf.inside_function():
        return decode(encoded)
    return tf.function(decode, autograph=False, experimental_attributes=APART)(encoded)


def check_jpeg_size(encoded: tf.Tensor) -> tf.Operation | None:
    """Returns an op that fails if a JPEG file, string [], has more than max_pixels() pixels. The op decodes no pixels."""
    return _check_sides(tf.cast(tf.io.extract_jpeg_shape(encoded)[1::-1], tf.int64))


def _kind(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the format of a file, int32 []: its place in _SIGNATURES, counted from 1, or 0 for another format."""
    head = tf.io.decode_raw(_head(encoded, 0, _SIGNATURE_BYTES), tf.uint8)
    padded = [signature.ljust(_SIGNATURE_BYTES, b"?") for signature in _SIGNATURES]
    expected = tf.constant([list(signature) for signature in padded], tf.uint8)
    is_kind = tf.reduce_all((head == expected) | (expected == ord("?")), axis=1)
    return tf.reduce_sum(tf.where(is_kind, tf.range(1, len(_SIGNATURES) + 1), 0))


def _head(encoded: tf.Tensor, start: int, count: int) -> tf.Tensor:
    """Returns `count` bytes from `start`, string []; bytes beyond the end of the file are zeros."""
    return tf.strings.substr(tf.strings.substr(encoded, 0, start + count) + b"\0" * (start + count), start, count)


def _check_sides(sides: tf.Tensor) -> tf.Operation | None:
    """Returns an op that fails if an image with these sides, int64 [2] (width, height), has too many pixels."""
    return _check_pixels(sides[0] * sides[1], [sides[0], " x ", sides[1], ", "])


def _check_pixels(pixels: tf.Tensor, size: list) -> tf.Operation | None:
    most = max_pixels()
    return refuse_unless(
        pixels <= most,
        "image too large: ",
        *size,
        tf.cast(pixels, tf.float64) / _MILLION,
        f" million pixels; expected at most {most / _MILLION:.1f} million (set {MAX_PIXELS_VARIABLE} to raise the limit)",
    )


def _refused(encoded: tf.Tensor) -> tf.Tensor:
    is_empty = tf.strings.length(encoded) == 0
    message = tf.where(is_empty, "an empty file", f"expected a {_KNOWN} file, got another kind")
    with tf.control_dependencies([refuse_unless(tf.constant(False), message)]):
        return tf.zeros([0, 0, 3], tf.uint8)


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([check_jpeg_size(encoded)]):
        return tf.io.decode_jpeg(encoded, channels=3, dct_method=DCT_METHOD)


def _decode_png(encoded: tf.Tensor, white_level: int) -> tf.Tensor:
    sides = tf.cast(tf.io.decode_raw(_head(encoded, 16, 8), tf.int32, little_endian=False), tf.int64) % 2**32

    def sixteen_bits():
        return to_eight_bits(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), white_level)

    def eight_bits():
        return tf.io.decode_png(encoded, channels=3)

    with tf.control_dependencies([_check_sides(sides)]):
        return eight_bits() if white_level == WHITE else tf.cond(_head(encoded, 24, 1) == b"\x10", sixteen_bits, eight_bits)


def _decode_gif(encoded: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([_check_pixels(_gif_pixels(encoded), ["all frames together "])]):
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    header = bmp_header(encoded)
    with tf.control_dependencies([_check_sides(tf.stack([header.width, header.height]))]):
        return decode_bmp(encoded, header)


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a still WebP. Animations are refused, because TensorFlow 2.21's decoder would write out of bounds."""
    head = tf.cast(tf.io.decode_raw(_head(encoded, 12, 20), tf.uint8), tf.int64)
    is_extended, is_lossless = (tf.reduce_all(head[:4] == list(name)) for name in (b"VP8X", b"VP8L"))

    def number(place, size=2):
        place -= 12
        return tf.reduce_sum(head[place : place + size] * [256**index for index in range(size)])

    # The three kinds of WebP store width and height in different places and forms.
    extended = tf.stack([number(24, 3), number(27, 3)]) + 1
    lossless = tf.stack([number(21), number(21, 4) // 2**14]) % 2**14 + 1
    lossy = tf.stack([number(26), number(28)]) % 2**14
    sides = tf.where(is_extended, extended, tf.where(is_lossless, lossless, lossy))
    is_animated = is_extended & (head[20 - 12] & 2 != 0)
    checks = [_check_sides(sides), refuse_unless(~is_animated, "an animated WebP; expected a still image")]
    with tf.control_dependencies(checks):
        # TensorFlow 2.21 refuses a WebP with an alpha channel if asked for three channels.
        return tf.io.decode_webp(encoded)[0, ..., :3]


def _gif_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the number of pixels in all frames of a GIF together, int64 [].

    TensorFlow's decoder reads all frames and relies on their sizes, not on the size of the screen. This function walks over the blocks of
    the file (GIF89a specification, section 12 ff.): extensions and frames, each followed by a chain of data sub-blocks. Each sub-block
    begins with its length, and the length 0 ends the chain.
    """
    content, most = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int64), max_pixels()
    length = tf.size(content, tf.int64)

    def byte(place):
        return tf.cond(place < length, lambda: content[place], lambda: tf.constant(0x3B, tf.int64))  # the trailer, if the file is cut short

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
        return (place < length) & (pixels <= most) & (in_data | (byte(place) != 0x3B))

    start = 13 + table_size(byte(tf.constant(10, tf.int64)))
    return tf.while_loop(goes_on, step, (start, tf.zeros([], tf.int64), tf.constant(False)))[1]
