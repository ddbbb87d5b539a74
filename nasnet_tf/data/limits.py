"""How large an image may be."""

import os

from nasnet_tf.base.errors import InputError

MAX_PIXELS = 2**26  # 201 MB of uint8 RGB; the largest image of ImageNet has 61 million
MAX_PIXELS_VARIABLE = "NASNET_MAX_PIXELS"  # environment variable with another limit


def max_pixels() -> int:
    """The limit of graphs that are built now: MAX_PIXELS, or what the environment variable NASNET_MAX_PIXELS says.

    Raises:
      InputError: the variable is no positive integer.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").replace("_", "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise InputError(f"{MAX_PIXELS_VARIABLE}: expected a number of pixels, 1 to {2**31 - 1}, got {text!r}")
    return int(text)
