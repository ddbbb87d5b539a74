"""PNG files of 16 bits: cameras and microscopes of 12 bits write theirs into such files without using the whole range."""

from collections.abc import Iterable

import tensorflow as tf

from nasnet_tf.data.numpy_decoding import is_sixteen_bits

WHITE = 65535  # the format's own white


def to_eight_bits(levels: tf.Tensor, white: int) -> tf.Tensor:
    """uint16 -> uint8 of the same shape: `white` and above become 255, 0 stays."""
    levels = tf.minimum(tf.cast(levels, tf.int32), white)
    return tf.cast((levels * 255 + white // 2) // white, tf.uint8)


def white_note(contents: Iterable[bytes], white: int) -> str | None:
    """Says which level is taken for white, and the highest that was found; None where no file is a PNG of 16 bits."""
    highest = None
    for content in filter(is_sixteen_bits, contents):
        try:
            found = int(tf.reduce_max(tf.io.decode_png(content, dtype=tf.uint16)[..., :3]))
        except tf.errors.InvalidArgumentError:
            continue  # told when it is used
        highest = max(found, highest or 0)
    if highest is None:
        return None
    advice = ""
    if highest > white or highest < (white + 1) // 8:
        advice = "; if another level means white, such as 4095 for 12 bits, bind white_level of the preprocessing in training"
    return f"16-bit PNGs: level {white} is taken for white, the highest seen at first is {highest}{advice}"
