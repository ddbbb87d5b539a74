"""Reads the Exif orientation of photographs and turns them upright, as orientation.py does, but without TensorFlow."""

from collections.abc import Callable

import numpy as np

_ORIENTATION, _SHORT = 0x0112, 3
_PREFIX = b"Exif\0\0"
_HAS_EXIF = 8  # a flag in the header of an extended WebP
_TOO_LARGE = 2**31  # no file has a part of this size or more
# Offset of the next part; offset and size of the data; whether parts follow; whether the data are Exif tags.
Part = tuple[int, int, int, bool, bool]


def exif_orientation(encoded: bytes) -> int:
    """Returns the orientation 1..8 in the Exif tags of a JPEG, PNG or WebP file; 1, upright, for other formats and files without tags."""
    tags = b""
    if encoded.startswith(b"\xff\xd8\xff"):
        tags = _walk(encoded, 2, _segment)
    elif encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        tags = _walk(encoded, 8, _png_chunk)
    elif encoded[:4] == b"RIFF" and encoded[8:16] == b"WEBPVP8X" and encoded[20:21] and encoded[20] & _HAS_EXIF:
        tags = _walk(encoded, 12, _webp_chunk)
    return _of_tiff(tags) if tags else 1


def displayed(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns a stored image, [height, width, 3], upright; the result is [width, height, 3] for orientations 5..8."""
    upright = image.transpose(1, 0, 2) if orientation >= 5 else image
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return upright[:: -1 if rows else 1, :: -1 if columns else 1]


def _walk(encoded: bytes, place: int, part: Callable[[bytes, int], Part]) -> bytes:
    """Returns the Exif tags of a file, without a prefix; empty if there are none."""
    goes_on = True
    while goes_on:
        after, start, size, goes_on, is_exif = part(encoded, place)
        if is_exif:
            return encoded[start : start + max(size, 0)].removeprefix(_PREFIX)
        goes_on = goes_on and place < after < len(encoded)
        place = after
    return b""


def _segment(encoded: bytes, place: int) -> Part:
    """Reads a segment of a JPEG. Bytes of 255 may fill the space before a marker."""
    first, marker, high, low = encoded[place : place + 4].ljust(4, b"\0")
    size = max(high * 256 + low, 2)
    is_filling = first == marker == 0xFF
    is_for_applications = first == 0xFF and (marker & 0xF0 == 0xE0 or marker == 0xFE)
    is_exif = marker == 0xE1 and encoded[place + 4 : place + 10] == _PREFIX
    after = place + 1 if is_filling else place + 2 + size
    return after, place + 4, size - 2, is_filling or is_for_applications, is_exif


def _png_chunk(encoded: bytes, place: int) -> Part:
    size, name = _number(encoded, place, "big"), encoded[place + 4 : place + 8]
    return place + 12 + size, place + 8, size, size >= 0 and name != b"IEND", name == b"eXIf"


def _webp_chunk(encoded: bytes, place: int) -> Part:
    size = _number(encoded, place + 4, "little")
    return place + 8 + size + size % 2, place + 8, size, size >= 0, encoded[place : place + 4] == b"EXIF"


def _number(encoded: bytes, place: int, order: str) -> int:
    """Returns the number in 4 bytes, which are 0 beyond the end of the file; -1 if the number is _TOO_LARGE or more."""
    number = int.from_bytes(encoded[place : place + 4].ljust(4, b"\0"), order)
    return number if number < _TOO_LARGE else -1


def _of_tiff(content: bytes) -> int:
    """Returns the orientation in the first directory of TIFF data; 1 if there is none."""
    order = "big" if content[:1] == b"M" else "little"

    def number(place: int, size: int) -> int:
        return int.from_bytes(content[place : place + size].ljust(size, b"\0"), order)

    directory = number(4, 4)
    if not 8 <= directory < len(content):
        return 1
    for entry in range(directory + 2, min(directory + 2 + 12 * number(directory, 2), len(content)), 12):
        if number(entry, 2) == _ORIENTATION and number(entry + 2, 2) == _SHORT and 1 <= number(entry + 8, 2) <= 8:
            return number(entry + 8, 2)
    return 1
