"""Boxes on pictures that Exif rotates, and pictures of another size than annotated: one rule for all formats of annotations."""

import dataclasses
import struct

import tensorflow as tf

from nasnet_tf.data.objects import Notes, Picture
from nasnet_tf.data.orientation import exif_orientation

_HEAD_BYTES = 2**12  # number of bytes that are read first; the Exif segment of a JPEG begins in them


def as_displayed(picture: Picture, notes: Notes) -> Picture:
    """Rotates boxes to match the upright picture, which is what is decoded, if they were drawn on the stored one.

    The annotated height and width show which of the two was annotated, unless the picture is square or Exif only mirrors it or turns it
    upside down. In these cases, boxes are taken as drawn on the upright picture, because that is what annotators see.
    """
    if picture.size is None:
        return picture
    with picture.path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if b"Exif\0\0" not in head:
        size = _stored_size(head)
        if size is not None and size != tuple(picture.size):
            texts = (f"{height} x {width}" for height, width in (size, picture.size))
            notes.add(
                "pictures of another size than annotated: boxes are taken as pixels of the file", f"{picture.name} {' not '.join(texts)}"
            )
        return picture
    content = picture.path.read_bytes()
    try:
        orientation = int(exif_orientation(content))
        stored = tuple(tf.io.extract_jpeg_shape(content).numpy()[:2]) if orientation >= 5 else None
    except tf.errors.OpError:
        return picture  # not an image; reported when it is used
    if stored != picture.size or stored[0] == stored[1]:
        return picture
    notes.add("pictures that Exif rotates but that were annotated as stored: boxes are rotated too", picture.name)
    height, width = stored[::-1]
    flips_rows, flips_columns = orientation in (7, 8), orientation in (6, 7)
    boxes = picture.boxes[:, [1, 0, 3, 2]]
    if flips_rows:
        boxes[:, [0, 2]] = height - boxes[:, [2, 0]]
    if flips_columns:
        boxes[:, [1, 3]] = width - boxes[:, [3, 1]]
    return dataclasses.replace(picture, boxes=boxes, size=(height, width))


def _stored_size(head: bytes) -> tuple[int, int] | None:
    """Returns (height, width) from the first bytes of a PNG or JPEG file; None if they do not contain the size."""
    if head.startswith(b"\x89PNG"):
        return struct.unpack(">II", head[16:24])[::-1] if len(head) >= 24 else None
    try:
        return tuple(tf.io.extract_jpeg_shape(head).numpy()[:2].tolist())
    except tf.errors.OpError:
        return None
