"""Turns photographs upright. Cameras store how they were held in an Exif tag (EXIF 2.3, section 4.6.4, "Orientation").

TensorFlow's decoders ignore the tag. Everything here runs in a TensorFlow graph, so that exported networks turn pictures too.
"""

from collections.abc import Callable

import tensorflow as tf

APART = {"_noinline": True}  # makes TensorFlow prepare a function when it is first called, not with each graph that may call it
_ORIENTATION = 0x0112
_SHORT = 3
_JPEG, _JFIF = b"\xff\xd8", b"\xff\xe0\x00\x10"
_TABLES = b"\xff\xdb"  # the marker of quantization tables
_PREFIX = b"Exif\0\0"  # stands before the tags of a JPEG; some programs write it in other files too
_PNG, _RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"
_PNG_DATA = 33  # offset of the first chunk after a PNG's header
_HAS_EXIF = 8  # a flag in the header of an extended WebP


# Traced, because a walk through a file is slow op by op.
@tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in the Exif tags of a JPEG, PNG or WebP file, string [], as int32 [], 1..8.

    The result is 1, upright, for other formats and for files without tags.
    """
    return tf.cond(_is_plain(encoded), lambda: 1, lambda: _orientation_in_tags(encoded))


def _is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Returns whether the first bytes show that a file is a JPEG or PNG without tags, bool []. Most files are, and need no walk.

    Such a JPEG has only a JFIF segment of 16 bytes before its tables, or nothing. Such a PNG has one chunk of data and no others.
    """
    head = tf.strings.substr(encoded, 0, _PNG_DATA + 8) + b"\0" * (_PNG_DATA + 8)

    def has(place, content):
        return tf.strings.substr(head, place, len(content)) == content

    is_jpeg = has(0, _JPEG + _TABLES) | (has(0, _JPEG + _JFIF) & has(20, _TABLES))
    size = tf.io.decode_raw(tf.strings.substr(head, _PNG_DATA, 4), tf.int32, little_endian=False)[0]
    return is_jpeg | (has(0, _PNG) & has(_PNG_DATA + 4, b"IDAT") & (size == tf.strings.length(encoded) - _PNG_DATA - 24))


# Apart, because TensorFlow visits each node of a branch even if it takes the other branch, and this graph has hundreds.
@tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)], experimental_attributes=APART)
def _orientation_in_tags(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation after a walk through the file; as `exif_orientation`."""
    is_png, is_riff = (tf.strings.substr(encoded, 0, len(start)) == start for start in (_PNG, _RIFF))
    kind = tf.where(tf.io.is_jpeg(encoded), 1, tf.where(is_png, 2, tf.where(is_riff, 3, 0)))
    tags = tf.switch_case(
        kind, [lambda: tf.constant(b""), lambda: _tags_of_jpeg(encoded), lambda: _tags_of_png(encoded), lambda: _tags_of_webp(encoded)]
    )
    return tf.cond(tags == b"", lambda: 1, lambda: _of_tiff(tf.io.decode_raw(tags, tf.uint8)))


def displayed(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a stored image or a part of it, [height, width, 3], upright; the result is [width, height, 3] for orientations 5..8."""

    def turned():
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        return tf.raw_ops.Reverse(tensor=upright, dims=tf.concat([_flips(orientation), [False]], 0))

    return tf.cond(orientation == 1, lambda: image, turned)


def displayed_shape(shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Returns the shape of the upright image, int32 [3] (height, width, channels), from the shape of the stored image."""
    return tf.where(orientation >= 5, tf.gather(shape, [1, 0, 2]), shape)


def stored_box(begin: tf.Tensor, size: tf.Tensor, shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Converts a box in the upright image to the same box in the stored image.

    Args:
      begin, size: int32 [2] each, (row, column) and (height, width) of the box in the upright image.
      shape: int32 [3], shape of the upright image.
      orientation: int32 [], 1..8.

    Returns:
      int32 [4]: top, left, height, width.
    """
    begin = tf.where(_flips(orientation), shape[:2] - begin - size, begin)
    return tf.where(orientation >= 5, tf.concat([begin[::-1], size[::-1]], 0), tf.concat([begin, size], 0))


def _flips(orientation: tf.Tensor) -> tf.Tensor:
    """Returns whether to reverse rows and columns, bool [2], after the transposition that orientations 5..8 need."""
    return tf.stack([tf.reduce_any(orientation == [3, 4, 7, 8]), tf.reduce_any(orientation == [2, 3, 6, 7])])


def _tags_of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the TIFF data in the Exif segment of a JPEG, string []; empty if there is none.

    The Exif segment is one of the application segments before the image's tables. Other segments there are skipped.
    """

    def segment(place):
        """Reads a segment for `_walk`. Bytes of 255 may fill the space before a marker."""
        head = _numbers(encoded, place, 4)
        is_filling = (head[0] == 0xFF) & (head[1] == 0xFF)
        is_for_applications = (head[0] == 0xFF) & ((head[1] & 0xF0 == 0xE0) | (head[1] == 0xFE))
        size = tf.maximum(head[2] * 256 + head[3], 2)
        is_exif = (head[1] == 0xE1) & (_part(encoded, place + 4, len(_PREFIX)) == _PREFIX)
        return tf.where(is_filling, place + 1, place + 2 + size), place + 4, size - 2, is_filling | is_for_applications, is_exif

    return _walk(encoded, 2, segment)


def _tags_of_png(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the tags of a PNG, string []; empty if there are none. A chunk is its length, its name, data and a checksum of 4 bytes."""

    def chunk(place):
        size = _number(_numbers(encoded, place, 4))
        name = _part(encoded, place + 4, 4)
        return place + 12 + size, place + 8, size, (size >= 0) & (name != b"IEND"), name == b"eXIf"

    return _walk(encoded, 8, chunk)


def _tags_of_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the tags of a WebP, string []; empty if there are none. A chunk is name, length and data, padded to an even length."""

    def chunk(place):
        size = _number(_numbers(encoded, place + 4, 4)[::-1])
        return place + 8 + size + size % 2, place + 8, size, size >= 0, _part(encoded, place, 4) == b"EXIF"

    has_tags = (_part(encoded, 8, 8) == b"WEBPVP8X") & (_numbers(encoded, 20, 1)[0] & _HAS_EXIF != 0)
    return tf.cond(has_tags, lambda: _walk(encoded, 12, chunk), lambda: tf.constant(b""))


def _walk(encoded: tf.Tensor, start: int, part: Callable) -> tf.Tensor:
    """Returns the Exif tags of a file, string [], without a prefix; empty if there are none.

    Args:
      start: offset of the first part.
      part: offset of a part -> (offset of the next part, offset of this part's data, size of the data, whether parts follow, whether the
        data are Exif tags).
    """
    length = tf.strings.length(encoded)

    def step(place, data, size, goes_on):
        after, data, size, goes_on, is_exif = part(place)
        return after, tf.where(is_exif, data, 0), size, goes_on & ~is_exif & (after > place) & (after < length)

    _, data, size, _ = tf.while_loop(lambda place, data, size, goes_on: goes_on, step, (start, 0, 0, True))
    tags = tf.where(data > 0, _part(encoded, data, size), b"")
    return tf.where(_part(tags, 0, len(_PREFIX)) == _PREFIX, _part(tags, len(_PREFIX), size), tags)


def _part(encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Returns `count` bytes from `start`, string [], or fewer if the file ends first."""
    return tf.strings.substr(encoded, tf.minimum(start, tf.strings.length(encoded)), tf.maximum(count, 0))


def _numbers(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """Returns the bytes from `start` as int32 [count]; 0 beyond the end of the file."""
    padded = tf.strings.substr(_part(encoded, start, count) + b"\0" * count, 0, count)
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(padded, tf.uint8), [count]), tf.int32)


def _number(numbers: tf.Tensor) -> tf.Tensor:
    """Returns the big-endian number in 4 bytes, int32 []; negative from 2^31 on, a size that no file has."""
    return tf.reduce_sum(numbers * [2**24, 2**16, 2**8, 1])


@tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.uint8)], experimental_attributes=APART)
def _of_tiff(content: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in the first directory of TIFF data, uint8 [length]; 1 if there is none."""
    content = tf.cast(content, tf.int32)
    content = tf.pad(content, [[0, 16]])
    length = tf.size(content)
    is_big = content[0] == ord("M")

    def number(values):
        """Returns the numbers in the bytes of the last axis, in the byte order of this file."""
        powers = [256**index for index in range(values.shape[-1])]
        return tf.reduce_sum(values * tf.where(is_big, powers[::-1], powers), -1)

    directory = number(tf.ensure_shape(content[4:8], [4]))
    is_inside = (directory >= 8) & (directory <= length - 2)
    directory = tf.where(is_inside, directory, length - 2)
    count = tf.minimum(number(tf.ensure_shape(content[directory : directory + 2], [2])), (length - directory - 2) // 12)
    entries = tf.reshape(content[directory + 2 : directory + 2 + 12 * count], [-1, 12])
    tags, kinds, values = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 8:10])
    found = tf.boolean_mask(values, (tags == _ORIENTATION) & (kinds == _SHORT) & (values >= 1) & (values <= 8))
    return tf.concat([found, [1]], 0)[0]
