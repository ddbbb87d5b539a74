"""Compares pictures of all Exif orientations with Pillow."""

import functools
import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from nasnet_tf.data.cifar import CifarPreprocessing
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.imagenet import ImageNetPreprocessing
from nasnet_tf.data.orientation import displayed_shape, exif_orientation, stored_box

# Smooth, so that JPEG keeps it, and different at each side.
PIXELS = np.stack([*np.meshgrid(np.linspace(0, 250, 48), np.linspace(0, 250, 32)), np.full([32, 48], 128)], -1).astype(np.uint8)


def jpeg(orientation=None, before=b"", exif=None):
    """Returns a JPEG with an orientation tag; before: segments that stand before the tag."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "jpeg", quality=95, subsampling=0)
    content = file.getvalue()
    if exif is None and orientation is not None:
        tags = Image.Exif()
        tags[0x10F] = "a camera"
        tags[0x112] = orientation
        exif = tags.tobytes()
    segment = b"" if exif is None else b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return content[:2] + before + segment + content[2:]


def seen(content):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_turns_a_picture_upright(orientation):
    comment = b"\xff\xe0\x00\x04ab\xff\xfe\x00\x05abc"
    content = jpeg(orientation, before=comment)
    assert int(exif_orientation(content)) == orientation
    image = decode_image(content).numpy()
    assert image.shape == ((48, 32, 3) if orientation >= 5 else (32, 48, 3))
    assert np.abs(image.astype(int) - seen(content)).max() <= 8
    # Training decodes only a crop. It equals the crop of a picture that was turned before it was encoded.
    file = io.BytesIO()
    Image.fromarray(seen(content)).save(file, "png")
    preprocessing = ImageNetPreprocessing(image_size=16, distort_color=False)
    for seed in range(3):
        turned, upright = (preprocessing.train(each, tf.constant([7, seed], tf.int64)) for each in (content, file.getvalue()))
        assert np.abs(turned - upright).max() < 0.1
    for preparation in (preprocessing, CifarPreprocessing(image_size=16)):
        np.testing.assert_allclose(preparation.evaluate(content), preparation.evaluate(file.getvalue()), atol=0.1)


def inlined_nodes(function, *signature) -> int:
    """Returns the number of nodes that TensorFlow visits in one call: those of the graph and of the functions that it inlines."""
    graph = tf.function(function, autograph=False).get_concrete_function(*signature).graph.as_graph_def()
    library = {each.signature.name: each for each in graph.library.function}

    def count(nodes):
        attributes = [value for node in nodes for value in node.attr.values()]
        called = [library[each.name] for value in attributes for each in (value.func, *value.list.func) if each.name]
        return len(nodes) + sum(count(each.node_def) for each in called if not each.attr["_noinline"].b)

    return count(graph.node)


def test_files_without_tags_cost_no_walk():
    encoded, seed = tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int64)
    assert inlined_nodes(exif_orientation, encoded) < 100  # 460 with the walks through all formats
    assert inlined_nodes(ImageNetPreprocessing().train, encoded, seed) < 400  # 1,350


def test_stored_boxes_hold_the_pixels_of_upright_boxes():
    whole = np.arange(6 * 4).reshape(6, 4)
    for orientation in range(1, 9):
        stored = whole if orientation < 5 else whole.T
        exif_turns = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: np.transpose}
        exif_turns |= {6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).T, 8: lambda x: np.rot90(x, 1)}
        shown = exif_turns[orientation](stored)
        shape = displayed_shape(tf.constant([*stored.shape, 3]), tf.constant(orientation))
        assert shape.numpy().tolist() == [*shown.shape, 3]
        top, left, height, width = stored_box(tf.constant([1, 0]), tf.constant([2, 3]), shape, tf.constant(orientation)).numpy()
        part = stored[top : top + height, left : left + width]
        np.testing.assert_array_equal(exif_turns[orientation](part), shown[1:3, 0:3])


@functools.cache
def in_graph(function):
    return tf.function(function, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def with_exif(kind, orientation, **options):
    """Returns a PNG or WebP with an orientation tag."""
    tags, file = Image.Exif(), io.BytesIO()
    tags[0x10F], tags[0x112] = "a camera", orientation
    Image.fromarray(PIXELS).save(file, kind, exif=tags, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_other_files_are_turned_too(kind, orientation):
    content = with_exif(kind, orientation, **({"lossless": True} if kind == "webp" else {}))
    np.testing.assert_array_equal(in_graph(decode_image)(content), seen(content))
    for length in range(0, len(content), 29):  # a file that is cut short counts as upright at worst
        assert int(exif_orientation(content[:length])) in (1, orientation)


def test_tags_after_the_data_of_a_png():
    content = with_exif("png", 6)
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    after = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    assert int(exif_orientation(after)) == 6
    assert int(exif_orientation(content[:start] + content[end:])) == 1


def test_fill_bytes_may_precede_a_marker():
    content = jpeg(6)
    assert int(exif_orientation(content[:2] + b"\xff\xff" + content[2:])) == 6


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_read_in_both_byte_orders(order):
    entries = struct.pack(f"{order}HHIHH", 0x0100, 4, 1, 5, 0) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 2) + entries
    assert int(exif_orientation(jpeg(exif=b"Exif\0\0" + tiff))) == 6


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",
        b"http://ns.adobe.com/xap/1.0/\0",
    ],
)
def test_damaged_tags_mean_upright(exif):
    assert int(exif_orientation(jpeg(exif=exif))) == 1
    assert decode_image(jpeg(exif=exif)).shape == (32, 48, 3)


def test_files_without_a_tag_are_upright():
    for content in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\xff\xff", jpeg()[:50], jpeg(), tf.io.encode_png(PIXELS)):
        assert int(exif_orientation(content)) == 1


def webp(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "webp", lossless=True, **options)
    return file.getvalue()


def test_webp_pictures_are_read_like_png():
    np.testing.assert_array_equal(decode_image(webp(PIXELS)), PIXELS)
    alpha = np.dstack([PIXELS, np.full([32, 48], 255, np.uint8)])
    alpha[0, 0, 3] = 254
    np.testing.assert_array_equal(decode_image(webp(alpha)), PIXELS)
    preprocessing = ImageNetPreprocessing(image_size=16)
    for prepare in (preprocessing.evaluate, lambda content: preprocessing.train(content, tf.constant([1, 2], tf.int64))):
        np.testing.assert_array_equal(prepare(webp(PIXELS)), prepare(tf.io.encode_png(PIXELS)))
    # TensorFlow's decoder would corrupt memory.
    with pytest.raises(tf.errors.InvalidArgumentError, match="an animated WebP; expected a still image"):
        decode_image(webp(PIXELS, save_all=True, append_images=[Image.fromarray(255 - PIXELS)]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(webp(PIXELS)[:60])
