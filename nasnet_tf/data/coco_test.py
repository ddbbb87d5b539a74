"""Oddities in annotations: each is handled by a rule, counted, and named in the notes."""

import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.data.objects import training_objects
from nasnet_tf.testing import png


def picture(path, height=60, width=80):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros([height, width, 3], np.uint8)
    pixels[10:20, 40:60] = 255
    path.write_bytes(png(pixels))


def box(number, image, category=3, bbox=(40, 10, 20, 10), **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": list(bbox), **more}


def write(root, images, annotations, categories=((3, "cat"), (7, "dog"))):
    root.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": [{"id": key, "name": name} for key, name in categories]}
    (root / "all.json").write_text(json.dumps(content))


def image(number, name, **more):
    return {"id": number, "file_name": name, "height": 60, "width": 80, **more}


@pytest.fixture
def awkward(tmp_path):
    root = tmp_path / "set"
    for name in ("a.png", "b.png", "sub/c.png"):
        picture(root / name)
    images = [image(1, "a.png"), image(2, "b.png"), image(5, "sub/c.png"), image(1, "b.png"), image(9, "gone.png"), {"id": 4}]
    annotations = [
        box(1, 1),
        box(1, 1, 7, (-5, -5, 20, 20)),  # a repeated id; reaches beyond the picture
        box(2, 1, 3, (4, 4, 0, 9)),  # empty
        box(3, 1, 3, (200, 4, 5, 9)),  # outside
        box(4, 1, 3, (0, 0, 80, 30), iscrowd=1),
        box(5, 77),
        box(6, 1, 4),
        box(7, 1, 3, (1, 2, float("nan"), 4)),
        {"id": 8, "image_id": 1, "category_id": 3},
        box(9, 9),
        box(10, 5, 7, area=123),
        box([11], 1, {"id": 3}),  # not a valid id
        box(None, [1]),
        box(None, 2, 3, ("1", 2, 3, 4)),
        box(13, 2, 3, (0, 0, 10**400, 4)),
    ]
    write(root, images, annotations)
    return root


def test_every_oddity_has_a_rule(awkward):
    data = DetectionData(f"coco:{awkward}", 64)
    pictures = data.objects("train")
    assert [each.image_id for each in pictures] == [1, 2, 5]
    assert (data.class_names, data.category_ids) == (("cat", "dog"), (3, 7))
    assert pictures[0].labels.tolist() == [0, 1, 0, 0, 0]
    assert pictures[2].area.tolist() == [123]
    boxes, labels = training_objects(pictures[0], 60, 80)
    assert labels.tolist() == [0, 1, -2]
    np.testing.assert_allclose(boxes * [60, 80, 60, 80], [[10, 40, 20, 60], [0, 0, 15, 15], [0, 0, 30, 80]], atol=1e-4)
    notes = "\n".join(data.notes("train"))
    for rule in (
        "1 x pictures with a repeated id: the first one counts: 1 b.png",
        "1 x missing pictures: left out: gone.png",
        "1 x pictures without an id or file name: left out: 4",
        "1 x pictures without boxes: used as background in training: b.png",
        "1 x annotations with a repeated id: both count: annotation 1",
        "1 x boxes without height or width: not used in training, never found in evaluation: a.png [4, 4, 13, 4]",
        "1 x boxes outside their picture: not used in training: a.png",
        "1 x boxes that reach beyond their picture: clipped in training: a.png",
        "1 x crowds: not objects in training, ignored in evaluation: a.png",
        "2 x annotations of pictures that are not listed: left out: annotation 5, annotation None",
        "2 x annotations of categories that are not listed: left out: annotation 6 of 4, annotation [11] of {'id': 3}",
        "4 x annotations without four finite numbers as a box: left out: annotation 7, annotation 8, annotation None, ...",
    ):
        assert rule in notes


def test_ids_may_be_text_and_names_may_repeat(tmp_path):
    """The file has a byte order mark, as some editors write it; 7, 7.0 and "7" are the same id."""
    root = tmp_path / "set"
    for name in ("a.png", "b.png", "c.png"):
        picture(root / name)
    images = [image("a", "a.png"), image("7", "b.png"), image(8.0, "c.png", height=99)]
    annotations = [box(1, "a", iscrowd="0"), box(2, 7, "3", iscrowd=1), box(3, "8", 9.0), box(4, 8, 2)]
    categories = [(9.0, "cat"), ("3", "cat"), (2, "dog"), (2, "cow")]
    write(root, images, annotations, categories)
    (root / "all.json").write_text((root / "all.json").read_text(), encoding="utf-8-sig")
    data = DetectionData(f"coco:{root}", 64)
    assert dict(zip(data.category_ids, data.class_names, strict=True)) == {2: "dog", 3: "cat (3)", 9: "cat"}
    found = {each.image_id: (each.labels.tolist(), each.is_crowd.tolist()) for each in data.objects("train")}
    assert found == {"a": ([1], [False]), "7": ([1], [True]), 8: ([2, 0], [False, False])}
    assert data.notes("train")[:2] == [
        "train: 1 x categories with a repeated name: the id is added to the name: 3 'cat'",
        "train: 1 x categories with a repeated id: the first one counts: 2 'cow'",
    ]
    note = "train: 1 x pictures of another size than annotated: boxes are taken as pixels of the file: c.png 60 x 80 not 99 x 80"
    assert note in data.notes("train")


def test_batches_show_the_boxes_where_they_are(awkward):
    """All pixels in the box of a white rectangle are white, mirrored or not, and the stream can start at any step."""
    data = DetectionData(f"coco:{awkward}", 120, max_boxes=4)
    batches = list(data.train(2, seed=3).take(4))
    flips = set()
    for batch in batches:
        assert batch.images.shape == (2, 120, 120, 3)
        for pixels, boxes, labels in zip(batch.images.numpy(), batch.boxes.numpy(), batch.labels.numpy(), strict=True):
            for (top, left, bottom, right), label in zip(boxes.astype(int), labels, strict=True):
                if label == 0:
                    assert (pixels[top + 2 : bottom - 2, left + 2 : right - 2] == 1.0).all()
                    flips.add(left)
            assert ((labels == -1) == (boxes == 0).all(-1)).all()
    assert len(flips) == 2
    later = next(iter(data.train(2, seed=3, start_step=3)))
    for name in later._fields:
        np.testing.assert_array_equal(getattr(later, name), getattr(batches[3], name))
    halves = [next(iter(data.train(2, seed=3, start_step=3, shard=(index, 2)))) for index in range(2)]
    np.testing.assert_array_equal(np.concatenate([half.images for half in halves]), later.images)


def test_undecodable_pictures_are_left_out_of_training_and_named(awkward):
    (awkward / "b.png").write_bytes(b"no picture")
    data = DetectionData(f"coco:{awkward}", 64)
    batch = next(iter(data.train(3, seed=0)))
    assert sorted(batch.weights.numpy()) == [0, 1, 1]
    assert list(data.corrupt_names(3, 0, 0)) == [str(awkward / "b.png")]
    assert "b.png cannot be decoded" in str(data.diagnose("train"))


def test_evaluation_has_every_picture_once(awkward):
    data = DetectionData(f"coco:{awkward}", 64, test_split="train")
    for shards in (1, 2):
        parts = [list(data.evaluation("test", 2, (index, shards))) for index in range(shards)]
        rows = np.concatenate([batch[1] for part in parts for batch in part])
        assert sorted(rows) == [-1, 0, 1, 2]
    np.testing.assert_array_equal(parts[0][0][2], [[60, 80]])


def test_annotations_may_be_one_file_or_one_for_each_split(tmp_path, awkward):
    data = DetectionData(f"coco:{awkward}", 64, validation_examples=1)
    assert [data.num_examples(split) for split in ("train", "validation")] == [2, 1]
    root = tmp_path / "coco"
    for split in ("train2017", "val2017"):
        picture(root / split / "a.png")
        write(root, [image(1, "a.png")], [box(1, 1)])
        (root / "annotations").mkdir(exist_ok=True)
        (root / "all.json").rename(root / "annotations" / f"instances_{split}.json")
    data = DetectionData(f"coco:{root}", 64, "train2017", "val2017")
    assert data.objects("validation")[0].path == root / "val2017" / "a.png"


@pytest.mark.parametrize("orientation", [3, 5, 6, 7, 8])
@pytest.mark.parametrize("as_stored", [False, True])
def test_boxes_of_pictures_that_exif_turns(tmp_path, orientation, as_stored):
    """The upright picture has a white rectangle near its upper left corner in each orientation of the stored picture."""
    seen = np.zeros([60, 80, 3], np.uint8)
    seen[8:24, 16:56] = 255
    tags = PIL.Image.Exif()
    tags[0x112] = orientation
    stored = seen[::-1, ::-1] if orientation == 3 else seen  # the Exif orientation turns it into `seen`
    if orientation >= 5:
        stored = np.transpose(seen[:: -1 if orientation in (7, 8) else 1, :: -1 if orientation in (6, 7) else 1], [1, 0, 2])
    (tmp_path / "set").mkdir()
    PIL.Image.fromarray(stored).save(tmp_path / "set" / "a.jpg", exif=tags.tobytes(), quality=95)
    rows, columns = (np.flatnonzero((stored if as_stored and orientation >= 5 else seen).any(axis=(axis, 2))) for axis in (1, 0))
    bbox = [int(columns[0]), int(rows[0]), len(columns), len(rows)]
    height, width = (stored if as_stored else seen).shape[:2]
    write(tmp_path / "set", [image(1, "a.jpg") | {"height": height, "width": width}], [box(1, 1, bbox=bbox)])
    data = DetectionData(f"coco:{tmp_path / 'set'}", 240, flip=False)
    batch = next(iter(data.train(1, seed=0)))
    np.testing.assert_allclose(batch.boxes[0, 0], [8 * 4, 16 * 3, 24 * 4, 56 * 3], atol=0.01)
    assert float(tf.reduce_mean(batch.images[0, 34:94, 50:166])) > 0.95


def test_a_file_cut_short_is_a_corrupt_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n0123")
    write(tmp_path, [image(1, "a.png")], [box(1, 1)])
    assert len(DetectionData(f"coco:{tmp_path}", 64).objects("train")) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("images\\a.png", "images\\b.png"),
        ("..\\..\\media\\upload\\4\\a.png", "..\\..\\media\\upload\\4\\b.png"),
        ("images/1/a.png", "images/1/b.png"),
        ("/home/me/export/images/a.png", "C:\\Users\\me\\b.png"),
    ],
)
@pytest.mark.parametrize("place", ["images", ".", "deep/er"])
def test_file_names_of_annotation_tools(tmp_path, names, place):
    for name in ("a.png", "b.png"):
        picture(tmp_path / place / name)
    write(tmp_path, [image(1, names[0]), image(2, names[1])], [box(1, 1), box(2, 2)])
    found = DetectionData(f"coco:{tmp_path}", 64).objects("train")
    assert [each.path.resolve() for each in found] == [(tmp_path / place / name).resolve() for name in ("a.png", "b.png")]


def test_pictures_are_not_guessed(tmp_path):
    for name in ("x/1/a.png", "x/2/a.png", "b.png"):
        picture(tmp_path / name)
    write(tmp_path, [image(1, "y/3/a.png"), image(2, "1/b.png"), image(3, "2/b.png")], [box(1, 1)])
    with pytest.raises(InputError, match="3 of 3 pictures are missing, first 'y/3/a.png'; searched "):
        DetectionData(f"coco:{tmp_path}", 64).objects("train")


def test_valid_is_for_validation_and_categories_without_boxes_are_noted(tmp_path):
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for number in range(count):
            picture(tmp_path / split / f"{number}.png")
        rows = [image(number, f"{number}.png") for number in range(count)]
        write(tmp_path / split, rows, [box(number, number) for number in range(count)], [(0, "all"), (3, "cat")])
    data = DetectionData(f"coco:{tmp_path}", 64)
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [3, 2, 1]
    assert DetectionData(f"coco:{tmp_path}", 64, validation_split="valid").num_examples("validation") == 2
    assert any("categories without boxes, which are not learned: all" in line for line in data.notes("train"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "all.json").write_text("[1"), "cannot be read as JSON"),
        (lambda root: (root / "all.json").write_bytes(b"\xff\xfe\xff"), "cannot be read as JSON"),
        (lambda root: (root / "all.json").write_text('{"images": []}'), "expected a list of objects as 'annotations'"),
        (lambda root: write(root, [image(1, "a.png")], [], []), "expected categories in its annotations, got none"),
        (lambda root: write(root, [image(1, "a.png")], [], [("x", "cat")]), "expected a category with an integer id"),
        (lambda root: (root / "all.json").rename(root / "sub" / "a.json") and write(root / "sub", [], []), "got a.json and all.json"),
        (lambda root: (root / "all.json").unlink(), "no annotations in"),
        (
            lambda root: [path.unlink() for path in root.rglob("*.png")],
            "5 of 5 pictures are missing, first 'a.png'; searched .*set",
        ),
    ],
)
def test_unusable_annotations_are_errors(awkward, change, message):
    change(awkward)
    with pytest.raises(InputError, match=message):
        DetectionData(f"coco:{awkward}", 64).num_examples("train")
    with pytest.raises(InputError, match="expected coco:FOLDER, voc:FOLDER or tfds:NAME, got 'cifar10'"):
        DetectionData("cifar10", 64).num_examples("train")


def test_errors_name_the_binding(awkward):
    for options, message in (
        ({"validation_examples": 3}, "DetectionData.validation_examples: expected fewer than the 3 examples of 'train', got 3"),
        ({}, "bind DetectionData.validation_split to a split"),
        ({"validation_split": "train"}, "DetectionData: validation_split 'train' shares examples"),
    ):
        with pytest.raises(InputError, match=message):
            DetectionData(f"coco:{awkward}", 64, **options).num_examples("validation")
    for field, value, message in (
        ("image_size", 31, "an integer of 32 or more, got 31"),
        ("image_size", 64.5, "an integer of 32 or more, got 64.5"),
        ("flip", 1, "True or False, got 1"),
        ("validation_examples", "110%", "a percentage such as '10%', got '110%'"),
    ):
        with pytest.raises(InputError, match=f"DetectionData.{field}: expected .*{message}"):
            DetectionData(**{"source": "coco:x", "image_size": 64, field: value})


@pytest.mark.parametrize(("names", "expected"), [(["default"], ["train"]), (["Train", "Validation"], ["train", "validation"])])
def test_subsets_of_cvat_become_splits(tmp_path, names, expected):
    for name in names:
        picture(tmp_path / "images" / name / "a.png")
        write(tmp_path / "annotations", [image(1, "a.png")], [box(1, 1)])
        (tmp_path / "annotations" / "all.json").rename(tmp_path / "annotations" / f"instances_{name}.json")
    data = DetectionData(f"coco:{tmp_path}", 64)
    assert [data.num_examples(split) for split in expected] == [1] * len(names)
    data = DetectionData(f"coco:{tmp_path}", 64, train_split=names[0])  # the folder's own name of the split is accepted too
    assert data.num_examples("train") == 1


def test_names_with_other_capitals_and_accents(tmp_path):
    picture(tmp_path / "images" / "A.PNG")
    picture(tmp_path / "images" / "fu\u0308r.png")  # as macOS writes it
    write(tmp_path, [image(1, "a.png"), image(2, "f\u00fcr.png")], [box(1, 1), box(2, 2)])
    assert len(DetectionData(f"coco:{tmp_path}", 64).objects("train")) == 2


def test_a_training_split_without_boxes(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path, [image(1, "a.png")], [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": [[1, 1, 5, 1, 5, 5]]}])
    with pytest.raises(
        InputError, match="no picture of 'train' has a box to train on; .*1 x annotations without four finite numbers as a box"
    ):
        DetectionData(f"coco:{tmp_path}", 64).notes("train")
