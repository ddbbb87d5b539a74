"""Detection sets of TFDS, which are written here as TFDS prepares them."""

import socket

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.data.sources_test import make_prepared, no_network
from nasnet_tf.testing import jpeg, png

COCO_FEATURES = {
    "image": tfds.features.Image(encoding_format="jpeg"),
    "image/filename": tfds.features.Text(),
    "image/id": tf.int64,
    "objects": tfds.features.Sequence(
        {
            "id": np.int64,
            "area": np.int64,
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=[f"class {number}" for number in range(80)]),
            "is_crowd": np.bool_,
        }
    ),
}
BOX = tfds.features.BBox(ymin=0.25, xmin=0.5, ymax=0.75, xmax=1.0)


def picture(height=60, width=80) -> bytes:
    """Returns a black picture that is white inside BOX."""
    pixels = np.zeros([height, width, 3], np.uint8)
    pixels[height // 4 : 3 * height // 4, width // 2 :] = 255
    return jpeg(pixels, quality=95)


def example(number, *objects, content=None):
    rows = [{"id": 1, "area": 700, "bbox": BOX, "label": label, "is_crowd": crowd} for label, crowd in objects]
    return {"image": content or picture(), "image/filename": f"{number}.jpg", "image/id": number, "objects": rows}


def test_coco_of_tfds_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", no_network)
    examples = [example(7, (11, False), (79, True)), example(9), example(12, (0, False))]
    make_prepared(tmp_path, COCO_FEATURES, examples, name="coco/2017", version="1.1.0")
    data = DetectionData("tfds:coco/2017", 120, validation_split="train[2:]", train_split="train[:2]", flip=False, data_dir=str(tmp_path))
    assert DetectionData.from_description(data.description()) == data
    assert (data.num_classes, data.category_ids[:12][-2:], data.category_ids[79]) == (80, (11, 13), 90)
    first, second = data.objects("train")
    assert (first.name, first.image_id, first.size) == ("7.jpg", 7, (60, 80))
    assert (first.labels.tolist(), first.area.tolist()) == ([11, 79], [700, 700])
    assert first.is_crowd.tolist() == [False, True]
    np.testing.assert_allclose(first.boxes[0], [15, 40, 45, 80])
    assert second.boxes.shape == (0, 4)
    assert any("pictures without boxes: used as background in training: 9.jpg" in line for line in data.notes("train"))
    batch = next(iter(data.train(2, seed=0)))
    row = int(np.flatnonzero(batch.labels[:, 0] == 11)[0])
    assert batch.labels[row, :3].numpy().tolist() == [11, -2, -1]
    top, left, bottom, right = batch.boxes[row, 0].numpy().astype(int)
    assert (top, left, bottom, right) == (30, 60, 90, 120)
    assert float(tf.reduce_min(batch.images[row, top + 3 : bottom - 3, left + 3 : right])) > 0.9
    _, rows, sizes = next(iter(data.evaluation("validation", 1)))
    assert (rows.numpy().tolist(), sizes.numpy().tolist()) == ([0], [[60, 80]])


def test_other_sets_and_damaged_pictures(tmp_path):
    features = {
        "image": tfds.features.Image(encoding_format="png"),
        "found": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=["cat"])}),
    }
    objects = [{"bbox": BOX, "label": 0}]
    make_prepared(tmp_path, features, [{"image": png(np.zeros([10, 20, 3])), "found": objects}, {"image": b"no picture", "found": objects}])
    data = DetectionData("tfds:mine", 64, data_dir=str(tmp_path))
    first, second = data.objects("train")
    assert (first.name, first.image_id, first.area.tolist(), data.category_ids) == ("train example 0", 1, [50], (1,))
    assert second.size is None
    assert sorted(next(iter(data.train(2, seed=0))).weights.numpy()) == [0, 1]
    assert "train example 1 cannot be decoded" in str(data.diagnose("train"))


def test_unusable_sets_are_errors(tmp_path, monkeypatch):
    make_prepared(tmp_path, {"image": tfds.features.Image(encoding_format="png")}, [{"image": picture()}])
    with pytest.raises(InputError, match="'mine' is not a detection set"):
        DetectionData("tfds:mine", 64, data_dir=str(tmp_path)).num_examples("train")
    with pytest.raises(InputError, match="no such folder"):
        DetectionData("tfds:mine", 64, data_dir=str(tmp_path / "nowhere")).num_examples("train")
    monkeypatch.setattr("nasnet_tf.data.preparing._answers", lambda url: False)
    with pytest.raises(InputError, match=r"'coco/2017' is not prepared in .* and cannot be downloaded"):
        DetectionData("tfds:coco/2017", 64, data_dir=str(tmp_path)).num_examples("train")
