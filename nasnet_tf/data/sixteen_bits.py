"""16-bit PNG files. 12-bit cameras and microscopes write such files without using the whole range."""

from collections.abc import Iterable

import tensorflow as tf

from nasnet_tf.data.numpy_decoding import is_sixteen_bits

WHITE = 65535  # white by the definition of the format


def to_eight_bits(levels: tf.Tensor, white: int) -> tf.Tensor:
    """Scales levels, uint16, to uint8 of the same shape: `white` and above become 255, 0 stays 0."""
    levels = tf.minimum(tf.cast(levels, tf.int32), white)
    return tf.cast((levels * 255 + white // 2) // white, tf.uint8)


def white_note(contents: Iterable[bytes], white: int) -> str | None:
    """Returns a note on the level that counts as white and the highest level found; None if no file is a 16-bit PNG."""
    highest = None
    for content in filter(is_sixteen_bits, contents):
        try:
            found = int(tf.reduce_max(tf.io.decode_png(content, dtype=tf.uint16)[..., :3]))
        except tf.errors.InvalidArgumentError:
            continue  # a damaged file; reported when it is used
        highest = max(found, highest or 0)
    if highest is None:
        return None
    advice = ""
    if highest > white or highest < (white + 1) // 8:
        advice = "; if another level means white, such as 4095 in 12-bit data, bind white_level of the preprocessing in training"
    return f"16-bit PNGs: level {white} counts as white, and the highest level in the first images is {highest}{advice}"
