"""Tests that the bindings of passed data make an ImageData with that data."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.api.data import data_bindings
from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.recipes import shorthand
from nasnet_tf.testing import png

IMAGES = np.random.default_rng(0).integers(0, 256, [20, 4, 4, 3]).astype(np.uint8)
LABELS = np.arange(20) % 2
PREPROCESSING = CifarPreprocessing(image_size=4, upsample=1.0)


def made(bindings):
    """Returns the ImageData of bindings."""
    fields = {name.removeprefix("ImageData."): value for name, value in bindings.items() if name.startswith("ImageData.")}
    return ImageData(**{"preprocessing": PREPROCESSING, **fields})


def sizes(data):
    found = {}
    for split in ("train", "validation", "test"):
        try:
            found[split] = data.num_examples(split)
        except InputError:
            found[split] = None
    return found


@pytest.fixture
def photos(tmp_path):
    def write(name, counts, classes=("0", "1")):
        for split, count in counts.items():
            for number in range(count):
                path = tmp_path / name / split / classes[number % 2] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(IMAGES[number]))
        return f"folder:{tmp_path / name}"

    return write


@pytest.mark.parametrize(
    ("validation", "test", "found"),
    [
        (None, None, (18, 2, None)),
        (0.25, None, (15, 5, None)),
        ((IMAGES[:4], LABELS[:4]), None, (20, 4, None)),
        (0.5, tf.data.Dataset.from_tensor_slices((IMAGES[:3], LABELS[:3])), (10, 10, 3)),
    ],
)
def test_arrays_are_divided(validation, test, found, tmp_path):
    data = made(data_bindings((IMAGES, LABELS), validation, tmp_path, "training", test=test))
    assert tuple(sizes(data).values()) == found
    assert pathlib.Path(data.data_dir) == tmp_path / "data"
    assert data.class_names == ("0", "1")


def test_prepared_data_are_read_in_batches(tmp_path):
    data = made(data_bindings((IMAGES, LABELS), None, tmp_path, "training"))
    images, labels = next(iter(data.train(4, seed=0)))
    assert images.shape == (4, 4, 4, 3)
    assert set(labels.numpy()) <= {0, 1}


def test_names_are_bound_as_the_command_binds_them(photos, tmp_path):
    folder = photos("photos", {"train": 20})
    assert data_bindings(folder, None, tmp_path / "run", "search") == shorthand.data_bindings(folder, ("", "retrain/"))
    assert sizes(made(data_bindings(folder, 0.3, tmp_path / "run", "training"))) == {"train": 14, "validation": 6, "test": None}
    assert not (tmp_path / "run").exists()


def test_a_fraction_is_refused_if_there_is_a_validation_split(photos, tmp_path):
    folder = photos("photos", {"train": 8, "val": 4})
    assert sizes(made(data_bindings(folder, None, tmp_path / "run", "training")))["validation"] == 4
    with pytest.raises(InputError, match="has a split 'validation', which is used; leave out the fraction 20%"):
        data_bindings(folder, 0.2, tmp_path / "run", "training")


def test_a_folder_may_validate_another_folder_or_arrays(photos, tmp_path):
    folder, other = photos("photos", {"train": 8, "test": 6}), photos("others", {"train": 4})
    data = made(data_bindings(folder, other, tmp_path / "run", "training"))
    assert sizes(data) == {"train": 8, "validation": 4, "test": 6}
    assert sizes(made(data_bindings((IMAGES, LABELS), other, tmp_path / "other", "training"))) == {
        "train": 20,
        "validation": 4,
        "test": None,
    }
    with pytest.raises(InputError, match="validation: .*photos has no split 'validation', and its train is for training"):
        data_bindings(folder, folder, tmp_path / "third", "training")


def test_all_fields_of_image_data_are_bound(photos, tmp_path):
    data = ImageData(photos("photos", {"train": 20}), PREPROCESSING, train_split="train[:10]", validation_split="train[10:]", cache=False)
    bindings = data_bindings(data, None, tmp_path, "training")
    assert bindings["ImageData.preprocessing"] == "@CifarPreprocessing()"
    assert bindings["CifarPreprocessing.image_size"] == 4
    assert dataclasses.replace(made(bindings | {"ImageData.preprocessing": PREPROCESSING})) == data
    held_out = made(data_bindings(data, 0.5, tmp_path, "training") | {"ImageData.preprocessing": PREPROCESSING})
    assert (held_out.num_examples("train"), held_out.num_examples("validation")) == (5, 5)


@pytest.mark.parametrize(
    ("data", "validation", "words"),
    [
        (None, None, r"data: expected \(images, labels\), a tf.data.Dataset.*got NoneType"),
        ((IMAGES, LABELS, LABELS), None, "got 3 values"),
        (((IMAGES, LABELS), (IMAGES, LABELS)), None, r"got two such pairs, as load_data\(\) returns them"),
        ((IMAGES, LABELS), "validaton", "unknown data set 'validaton'"),
        ((IMAGES, LABELS), 0.123, "in whole percents, or data; got 0.123"),
        ((IMAGES, LABELS), 1.5, "a fraction of the data from 0.01 to 0.99"),
        ((IMAGES, LABELS), True, "validation: expected .*got bool"),
    ],
)
def test_anything_else_is_refused(data, validation, words, tmp_path):
    with pytest.raises(InputError, match=words):
        data_bindings(data, validation, tmp_path, "training")


def test_values_are_written_as_in_a_recipe():
    values = {"a.b": "@X()", "c": 3, "d": np.float32(0.5), "e": [None, ("x",), {"k": True}], "f": "it's"}
    assert shorthand.lines(values) == ["a.b = @X()", "c = 3", "d = 0.5", "e = [None, ('x',), {'k': True}]", 'f = "it\'s"']
    with pytest.raises(InputError, match=r"bindings: d: expected numbers.*such as '@CifarPreprocessing\(\)'"):
        shorthand.lines({"d": PREPROCESSING})
