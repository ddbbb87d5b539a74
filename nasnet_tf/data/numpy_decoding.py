"""Decodes image files without TensorFlow, to exactly the pixels of decoding.py. Files that might get other pixels are refused.

Pillow and TensorFlow call the same libraries: libjpeg-turbo with the accurate DCT and smooth upsampling, libpng and libwebp.
"""

import io
import struct
import warnings
import zlib

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.data.limits import max_pixels
from nasnet_tf.data.numpy_orientation import displayed, exif_orientation

Image = OnDemand("PIL.Image")
_PNG, _BIT_DEPTH_PLACE = b"\x89PNG\r\n\x1a\n", 24
_KINDS = {"JPEG": (b"\xff\xd8\xff", ("L", "RGB")), "PNG": (_PNG, ("1", "L", "LA", "P", "RGB", "RGBA")), "WEBP": (b"RIFF", ("RGB", "RGBA"))}


class NotExact(InputError):
    """The error for a file that this module may decode or refuse differently from TensorFlow; the message describes the file."""


def is_sixteen_bits(encoded: bytes) -> bool:
    """Returns whether a file is a 16-bit PNG."""
    return encoded.startswith(_PNG) and encoded[_BIT_DEPTH_PLACE : _BIT_DEPTH_PLACE + 1] == b"\x10"


def decode_image(encoded: bytes) -> np.ndarray:
    """Decodes a JPEG, PNG or WebP file to uint8 [height, width, 3], upright, with the pixels of nasnet_tf.data.decoding.decode_image.

    Raises:
      NotExact: the file has another format, is damaged or an animation, or has CMYK colors, 16 bits or more than max_pixels() pixels.
    """
    kind = next((kind for kind, (start, _) in _KINDS.items() if encoded.startswith(start)), None)
    if kind is None:
        raise NotExact("a file that is no JPEG, PNG or WebP")
    if is_sixteen_bits(encoded):
        raise NotExact("a 16-bit PNG")
    if kind == "PNG" and not _is_whole_png(encoded):
        raise NotExact("a damaged file")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(encoded), formats=[kind]) as image:
            if image.width * image.height > max_pixels():
                raise NotExact(f"an image of {image.width} x {image.height} pixels")
            # Cameras put several pictures into a JPEG file; all decoders take the first.
            if kind != "JPEG" and getattr(image, "is_animated", False):
                raise NotExact("an animation")
            image.load()
            if image.mode not in _KINDS[kind][1]:
                raise NotExact(f"a {kind} file with {image.mode} colors")
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, struct.error, Image.DecompressionBombError) as error:
        raise error if isinstance(error, InputError) else NotExact("a damaged file") from error
    return displayed(pixels, exif_orientation(encoded))


def _is_whole_png(encoded: bytes) -> bool:
    """Returns whether a PNG has all chunks with right checksums. Pillow would also decode a file without the last chunk.

    A chunk is its length, its name, its data and a checksum of name and data.
    """
    place, name = len(_PNG), b""
    while name != b"IEND":
        size, name = int.from_bytes(encoded[place : place + 4]), encoded[place + 4 : place + 8]
        end = place + 8 + size
        if encoded[end : end + 4] != zlib.crc32(encoded[place + 4 : end]).to_bytes(4):
            return False
        place = end + 4
    return True
