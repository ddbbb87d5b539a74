"""Annotations in Pascal VOC's XML, as VOC and annotation tools write them."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(np.zeros([60, 80, 3], np.uint8)).numpy())


def test_a_folder_of_voc_is_read(tmp_path):
    root = tmp_path / "VOC2007"
    picture(root / "JPEGImages" / "000001.jpg")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("000001\n000002\n")
    (root / "Annotations").mkdir()
    bounds = "<bndbox><xmin>41</xmin><ymin>11</ymin><xmax>60</xmax><ymax>20</ymax></bndbox>"
    objects = "".join(
        f"<object><name>{name}</name><difficult>{hard}</difficult>{bounds}</object>" for name, hard in (("dog", 0), ("cat", 1))
    )
    (root / "Annotations" / "000001.xml").write_text(f"<annotation><size><width>80</width><height>60</height></size>{objects}</annotation>")
    data = DetectionData(f"voc:{root}", 64)
    (found,) = data.objects("train")
    assert data.class_names == ("cat", "dog")
    assert (found.labels.tolist(), found.is_crowd.tolist()) == ([1, 0], [False, True])
    assert found.boxes[0].tolist() == [10, 40, 20, 60]
    assert "000002.xml" in data.notes("train")[0]


def voc(path, objects, size="<size><width>80</width><height>60</height></size>", file_name=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{file_name}</filename>{size}{objects}</annotation>")


CAT = "<object><name>cat</name><bndbox><xmin>41.0</xmin><ymin>11</ymin><xmax>60.5</xmax><ymax>20</ymax></bndbox></object>"


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_boxes_of_pictures_that_exif_rotates(tmp_path, size):
    """The stored picture is 40 wide and 20 high, and Exif turns it by 90 degrees; it may be annotated as stored or as displayed."""
    tags = PIL.Image.Exif()
    tags[0x112] = 6
    (tmp_path / "JPEGImages").mkdir()
    PIL.Image.new("RGB", (40, 20)).save(tmp_path / "JPEGImages" / "a.jpg", exif=tags.tobytes())
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>5</ymax></bndbox>"
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    voc(tmp_path / "Annotations" / "a.xml", f"<object><name>cat</name>{box}</object>", sides)
    data = DetectionData(f"voc:{tmp_path}", 64)
    as_stored = size == (40, 20)
    assert data.objects("train")[0].boxes.tolist() == ([[0, 15, 10, 20]] if as_stored else [[0, 0, 5, 10]])
    assert ["Exif rotates" in note for note in data.notes("train")] == [True] * as_stored


def test_a_picture_of_another_size_than_annotated_is_noted(tmp_path):
    picture(tmp_path / "JPEGImages" / "a.png")
    voc(tmp_path / "Annotations" / "a.xml", CAT, "<size><width>160</width><height>120</height></size>")
    assert "of another size than annotated" in DetectionData(f"voc:{tmp_path}", 64).notes("train")[0]


@pytest.mark.parametrize("name", ["a.png", "a.jpeg", "a.JPG", "my cat 1.png"])
def test_voc_with_other_names(tmp_path, name):
    stem = name.rsplit(".", 1)[0]
    picture(tmp_path / "JPEGImages" / name)
    voc(
        tmp_path / "Annotations" / f"{stem}.xml",
        CAT + "<object><name>dog</name></object>",
        "<size><width>0</width><height>0</height></size>",
    )
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(f"{stem}\n")
    data = DetectionData(f"voc:{tmp_path}", 64)
    (found,) = data.objects("train")
    assert (found.name, found.size, data.class_names) == (name, None, ("cat",))
    assert found.boxes.tolist() == [[10, 40, 20, 60.5]]
    assert data.notes("train") == [f"train: 1 x objects without a box or a name: left out: {stem}.xml"]


def test_voc_as_cvat_writes_it_is_read(tmp_path):
    """The list names two files of the same name in different folders; the only subset is called default."""
    for folder, name in (("one", "dog"), ("two", "cat")):
        picture(tmp_path / "JPEGImages" / folder / "0.png")
        voc(tmp_path / "Annotations" / folder / "0.xml", CAT.replace("cat", name), file_name=f"{folder}/0.png")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "default.txt").write_text("one/0\ntwo/0\n")
    for _ in range(2):  # the second time without the list
        data = DetectionData(f"voc:{tmp_path}", 64)
        found = [(each.path.parent.name, data.class_names[each.labels[0]]) for each in data.objects("train")]
        assert found == [("one", "dog"), ("two", "cat")]
        (tmp_path / "ImageSets" / "Main" / "default.txt").unlink(missing_ok=True)


@pytest.mark.parametrize("folder", ["annotations", "labels"])
def test_one_folder_of_annotations_beside_the_pictures(tmp_path, folder):
    picture(tmp_path / "images" / "a.png")
    voc(tmp_path / folder / "a.xml", CAT)
    assert [each.name for each in DetectionData(f"voc:{tmp_path}", 64).objects("train")] == ["a.png"]
    (tmp_path / folder).rename(tmp_path / "Valid")
    assert dict(DetectionData(f"voc:{tmp_path}", 64)._source.splits) == {"validation": 1}


@pytest.mark.parametrize("folder", ["", "train", "Annotations"])
def test_voc_as_labelimg_writes_it_is_read(tmp_path, folder):
    for stem in ("a", "b"):
        picture(tmp_path / folder / f"{stem}.png")
        size = "<size><width>80.0</width><height>60.0</height></size>"
        voc(tmp_path / folder / f"{stem}.xml", CAT, size, f"C:\\pictures\\{stem}.png")
    assert [each.size for each in DetectionData(f"voc:{tmp_path}", 64).objects("train")] == [(60, 80)] * 2
    (tmp_path / folder / "a.png").unlink()
    (tmp_path / folder / "b.png").unlink()
    with pytest.raises(InputError, match="2 of 2 pictures are missing, first 'a.xml'; searched "):
        DetectionData(f"voc:{tmp_path}", 64).objects("train")
