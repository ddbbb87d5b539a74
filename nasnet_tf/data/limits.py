"""The limit on the size of an image."""

import os

from nasnet_tf.base.errors import InputError

MAX_PIXELS = 2**26  # 201 MB of uint8 RGB; the largest image of ImageNet has 61 million pixels
MAX_PIXELS_VARIABLE = "NASNET_MAX_PIXELS"  # environment variable that replaces the limit


def max_pixels() -> int:
    """Returns the maximum number of pixels of an image: the environment variable NASNET_MAX_PIXELS, or MAX_PIXELS if it is not set.

    A graph keeps the limit that holds when it is built.

    Raises:
      InputError: the variable is not an integer from 1 to 2^31 - 1.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").replace("_", "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise InputError(f"{MAX_PIXELS_VARIABLE}: expected a number of pixels, 1 to {2**31 - 1}, got {text!r}")
    return int(text)
