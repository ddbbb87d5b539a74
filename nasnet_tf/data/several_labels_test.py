"""Multi-label data: tables, batches and errors."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing
from nasnet_tf.data.pipeline import are_corrupt
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.data.sources import open_source
from nasnet_tf.testing import png

CELLS = ["cat;dog", "", "dog", "bird; cat ;cat", "dog;", "cat"]


@pytest.fixture(name="folder")
def pictures_folder(tmp_path):
    for level in range(8):
        (tmp_path / f"{level}.png").write_bytes(png(np.full([8, 8, 3], 20 * level)))
    return tmp_path


def write(folder, cells=CELLS, name="labels.csv", first=0):
    rows = [f"{first + number}.png,{cell}" for number, cell in enumerate(cells)]
    (folder / name).write_text("\n".join(["file,labels", *rows]) + "\n")
    return f"table:{folder / name}"


def data(name, **fields):
    return MultiLabelData(name, CifarPreprocessing(8, flip=False), **fields)


def labels_by_file(source, split):
    return {int(example["name"].numpy().decode()[-5]): example["label"].numpy().tolist() for example in source.examples(split)}


def test_cells_are_sets_of_labels(folder):
    several = data(write(folder), validation_examples=2)
    assert several.class_names == ("bird", "cat", "dog")
    found = labels_by_file(several._source, "train")
    assert found == {0: [0, 1, 1], 1: [0, 0, 0], 2: [0, 0, 1], 3: [1, 1, 0], 4: [0, 0, 1], 5: [0, 1, 0]}
    assert several._source.notes == ("1 images without a label",)
    trained_on = [example["label"].numpy() for example in several._source.examples("train[:4]")]
    np.testing.assert_array_equal(several.label_counts, np.sum(trained_on, axis=0, dtype=int))
    assert data(write(folder, ["a b|c", "c|a b"]), label_separator="|").class_names == ("a b", "c")


def test_batches_have_a_row_for_each_image(folder):
    several = data(write(folder))
    images, labels, weights = next(iter(several.evaluation("train", 8)))
    assert (labels.shape, labels.dtype) == ((8, 3), tf.int32)
    assert (weights.numpy().tolist(), labels.numpy()[6:].tolist()) == ([1] * 6 + [0] * 2, [[0, 0, 0]] * 2)
    assert labels.numpy()[:6].sum(0).tolist() == several.label_counts.tolist() == [1, 3, 3]
    (folder / "3.png").write_bytes(b"no image")
    images, labels = next(iter(data(write(folder)).train(6, seed=0)))
    assert are_corrupt(labels).numpy().sum() == 1
    assert labels.numpy().min(1).tolist().count(-1) == labels.numpy().max(1).tolist().count(-1) == 1
    assert [name[-5:] for name in several.corrupt_names(6, 0, 0)] == ["3.png"]
    assert "3.png" in str(several.diagnose("train"))
    assert next(iter(several.train(6, 0, shard=(1, 2))))[1].shape == (3, 3)


def test_a_folder_of_tables_has_a_split_in_each(folder):
    write(folder, name="train.csv")
    write(folder, ["cat"], name="val.csv", first=6)
    several = data(f"table:{folder}")
    assert several._source.splits == {"train": 6, "validation": 1}
    assert several._source.notes[0] == "validation has no images of bird, dog"
    assert several.num_examples("validation") == 1
    write(folder, ["cat", "dog"], name="test.csv", first=5)
    with pytest.raises(InputError, match=r"train.csv, line 7: 5.png is already on line 2 of test.csv; expected one row for each image"):
        data(f"table:{folder}").class_names  # noqa: B018
    (folder / "none").mkdir()
    with pytest.raises(InputError, match="none: has no tables; expected train.csv, and optionally validation.csv and test.csv"):
        open_source(f"table:{folder / 'none'}")


def test_tables_of_one_label_may_be_in_a_folder_too(folder):
    write(folder, ["cat", "dog", "cat"], name="train.csv")
    write(folder, ["dog"], name="test.csv", first=4)
    assert open_source(f"table:{folder}").splits == {"test": 1, "train": 3}


def test_a_description_makes_equal_data(folder):
    several = data(write(folder, ["a|b", "b"]), label_separator="|")
    description = json.loads(json.dumps(several.description()))
    assert description["several_labels"] is True
    assert MultiLabelData.from_description(description) == several
    assert several.resized(4).label_separator == "|"


def test_class_names_that_look_like_several_labels_are_noted(folder):
    assert "2 classes have ';' in their names, such as 'bird; cat ;cat'" in open_source(write(folder, CELLS[2:4] + CELLS[:1])).notes[0]
    assert open_source(write(folder, ["cat", "dog"])).notes == ()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["", ""], "expected labels in the column `labels`, got only empty cells"),
        (["a|b", "c"], r"each training image has one label, such as 'a\|b'; expected several, or none, with ';'"),
    ],
)
def test_wrong_tables_are_refused(folder, cells, message):
    with pytest.raises(InputError, match=message):
        data(write(folder, cells)).check_several()
    data(write(folder)).check_several()
    (folder / "labels.csv").write_text("file,labels\n0.png\n")
    with pytest.raises(InputError, match=re.escape("line 2: expected a file, a label and")):
        data(f"table:{folder / 'labels.csv'}").class_names  # noqa: B018
    with pytest.raises(InputError, match="'digits': expected table:FILE or table:FOLDER for several labels per image"):
        data("digits").class_names  # noqa: B018


def test_an_empty_separator_is_refused():
    with pytest.raises(InputError, match="label_separator: expected at least one character, got ''"):
        MultiLabelData("table:labels.csv", CifarPreprocessing(8), label_separator="")
