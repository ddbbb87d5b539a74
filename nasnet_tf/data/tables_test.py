"""Tables of files as data."""

import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.data.sources import open_source
from nasnet_tf.data.tables import read_table


@pytest.fixture(name="folder")
def pictures_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "b.png", "deep/c d.png"):
        (tmp_path / name).write_bytes(tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)).numpy())
    return tmp_path


def write(folder, text):
    (folder / "labels.csv").write_text(text)
    return f"table:{folder / 'labels.csv'}"


def test_rows_are_examples(folder):
    name = write(folder, 'label,file,by,split\ndog,a.png,me,train\ncat,b.png,,train\n"cat","deep/c d.png",me,val\n')
    source = open_source(name)
    assert source.class_names == ("cat", "dog")
    assert source.splits == {"train": 2, "validation": 1}
    assert {(example["name"].numpy().decode()[-5:], int(example["label"])) for example in source.examples("train")} == {
        ("a.png", 1),
        ("b.png", 0),
    }
    data = ImageData(name, CifarPreprocessing(8))
    assert (data.num_train_examples, data.num_examples("validation")) == (2, 1)
    images, labels, weights = next(iter(data.evaluation("validation", 2)))
    assert images.shape == (2, 8, 8, 3)
    assert (labels.numpy().tolist(), weights.numpy().tolist()) == ([0, 0], [1, 0])
    assert open_source(write(folder, "\ufefffile,labels\na.png,cat\nb.png,dog\n")).splits == {"train": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got the columns none"),
        ("name,label\n", "expected a CSV file whose first line is `file,label` .*; got the columns name, label"),
        ("file,label\n", "has no rows"),
        ("file,label\na.png,cat\ngone.png,cat\n", "labels.csv, line 3: no file .*gone.png; names are relative to the folder"),
        ("file,label\na.png,\n", "line 2: expected a file, a label"),
        ("file,label\na.png\n", "line 2: expected a file, a label"),
        ("file,label\na.png,cat\na.png,dog\n", "line 3: a.png is already on line 2"),
        ("file,label,split\na.png,cat,train\nb.png,dog,test\n", "split 'train' lacks the classes dog"),
    ],
)
def test_errors_name_the_line(folder, text, message):
    with pytest.raises(InputError, match=message):
        open_source(write(folder, text))
    with pytest.raises(InputError, match="gone.csv: cannot be read as a table"):
        open_source(f"table:{folder / 'gone.csv'}")


def test_labels_that_are_not_utf8(tmp_path):
    (tmp_path / "1.png").touch()
    (tmp_path / "labels.csv").write_bytes(b"file,label\n1.png,\xe9t\xe9\n")
    assert list(read_table(tmp_path / "labels.csv")["train"]) == [r"\xe9t\xe9"]
