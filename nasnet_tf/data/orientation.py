"""Photographs the way they are meant to be seen: cameras store how a picture was held as a tag (EXIF 2.3, section 4.6.4, "Orientation").

TensorFlow's decoders leave the tag alone. All of it is TensorFlow graph, so that exported networks turn pictures too.
"""

import tensorflow as tf

_ORIENTATION = 0x0112
_SHORT = 3
_TABLES = b"\xff\xdb"  # the marker of quantization tables


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """int32 []: 1..8 as the Exif segment of a JPEG file, string [], says; 1, upright, for files without one and for other kinds.

    The segment stands before the image's tables, among those for applications; there, others are passed over.
    """
    # Most files have a JFIF segment of 16 bytes and tables behind it, or nothing at all before the tables; the walk below takes a
    # quarter of the time that decoding a photograph takes.
    head = tf.strings.substr(encoded, 0, 22) + b"\0" * 22
    has_jfif_only = (tf.strings.substr(head, 2, 4) == b"\xff\xe0\x00\x10") & (tf.strings.substr(head, 20, 2) == _TABLES)
    is_plain = has_jfif_only | (tf.strings.substr(head, 2, 2) == _TABLES)
    return tf.cond(tf.io.is_jpeg(encoded) & ~is_plain, lambda: _of_jpeg(tf.io.decode_raw(encoded, tf.uint8)), lambda: 1)


def displayed(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """[height, width, 3] as stored, or a box of it -> as it is seen: [height, width, 3], or [width, height, 3] for orientations 5..8."""

    def turned():
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        return tf.raw_ops.Reverse(tensor=upright, dims=tf.concat([_flips(orientation), [False]], 0))

    return tf.cond(orientation == 1, lambda: image, turned)


def displayed_shape(shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """int32 [3], height, width and channels, of the image as it is seen."""
    return tf.where(orientation >= 5, tf.gather(shape, [1, 0, 2]), shape)


def stored_box(begin: tf.Tensor, size: tf.Tensor, shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Where a box of the image as it is seen lies in the stored one.

    Args:
      begin, size: int32 [2], row and column, height and width.
      shape: int32 [3] of the image as it is seen.

    Returns:
      int32 [4]: top, left, height, width.
    """
    begin = tf.where(_flips(orientation), shape[:2] - begin - size, begin)
    return tf.where(orientation >= 5, tf.concat([begin[::-1], size[::-1]], 0), tf.concat([begin, size], 0))


def _flips(orientation: tf.Tensor) -> tf.Tensor:
    """bool [2]: whether rows and columns come in reverse, after rows and columns have changed places where they do."""
    return tf.stack([tf.reduce_any(orientation == [3, 4, 7, 8]), tf.reduce_any(orientation == [2, 3, 6, 7])])


def _of_jpeg(content: tf.Tensor) -> tf.Tensor:
    """content: uint8 [length]."""
    length = tf.size(content)

    def numbers(place, count):
        """int32 [count]; 0 beyond the end."""
        found = tf.cast(content[place : place + count], tf.int32)
        return tf.pad(found, [[0, count - tf.size(found)]])

    def is_for_applications(segment):
        return (segment[0] == 0xFF) & ((segment[1] & 0xF0 == 0xE0) | (segment[1] == 0xFE))

    def goes_on(place, tiff):
        return (tiff == 0) & (place < length) & is_for_applications(numbers(place, 2))

    def step(place, tiff):
        segment = numbers(place, 10)
        is_exif = (segment[1] == 0xE1) & tf.reduce_all(segment[4:] == list(b"Exif\0\0"))
        return place + 2 + tf.maximum(segment[2] * 256 + segment[3], 2), tf.where(is_exif, place + 10, 0)

    _, tiff = tf.while_loop(goes_on, step, (2, 0))
    return tf.cond(tiff > 0, lambda: _of_tiff(content, tiff), lambda: 1)


def _of_tiff(content: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Orientation by the first directory of the TIFF data that begins there."""
    content = tf.cast(content[start:], tf.int32)
    content = tf.pad(content, [[0, 16]])
    length = tf.size(content)
    is_big = content[0] == ord("M")

    def number(values):
        """Of the bytes in the last axis, in the order of this file."""
        values = tf.cond(is_big, lambda: values, lambda: values[..., ::-1])
        total = values[..., 0]
        for index in range(1, values.shape[-1]):
            total = total * 256 + values[..., index]
        return total

    directory = number(tf.ensure_shape(content[4:8], [4]))
    is_inside = (directory >= 8) & (directory <= length - 2)
    directory = tf.where(is_inside, directory, length - 2)
    count = tf.minimum(number(tf.ensure_shape(content[directory : directory + 2], [2])), (length - directory - 2) // 12)
    entries = tf.reshape(content[directory + 2 : directory + 2 + 12 * count], [-1, 12])
    tags, kinds, values = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 8:10])
    found = tf.boolean_mask(values, (tags == _ORIENTATION) & (kinds == _SHORT) & (values >= 1) & (values <= 8))
    return tf.concat([found, [1]], 0)[0]
