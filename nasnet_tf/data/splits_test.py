"""The choice of examples for training, validation and testing, in folders with any of the three splits."""

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.data.sources import open_source
from nasnet_tf.data.sources_test import make_folder, names

SPLITS = ("train", "validation", "test")


def folder(tmp_path, **counts):
    files = {f"{split}/{label}/{i}.png": i for split, count in counts.items() for label in ("cat", "dog") for i in range(count)}
    return make_folder(tmp_path / "pets", files)


def found(source, **options):
    """Returns {split: the slice of the source, or None if it is missing}."""
    data = ImageData(source, CifarPreprocessing(8), **options)
    splits = {}
    for split in SPLITS:
        try:
            splits[split] = data._slice(split)
        except InputError:
            splits[split] = None
    return splits


def test_each_split_of_a_folder_is_used_if_it_exists(tmp_path):
    all_three = folder(tmp_path / "a", train=10, validation=3, test=2)
    expected = {"train": "train", "validation": "validation", "test": "test"}
    # The recipes of fine-tuning and of a search with a hold-out get the same splits, and so do older work folders.
    assert found(all_three) == expected
    assert found(all_three, validation_examples="10%") == expected
    assert found(all_three, validation_examples=5) == expected
    assert found(all_three, validation_split="validation", test_split="validation") == expected
    without_validation = folder(tmp_path / "b", train=10, test=2)
    held_out = {"train": "train[0:18]", "validation": "train[18:20]", "test": "test"}
    assert found(without_validation, validation_examples="10%") == found(without_validation, validation_examples=2) == held_out
    assert found(without_validation) == {"train": "train[0:20]", "validation": None, "test": "test"}
    without_test = folder(tmp_path / "c", train=10, validation=3)
    assert found(without_test)["test"] is None
    with pytest.raises(InputError, match="has no split .test., only train, validation; add a split 'test', or evaluate on validation"):
        ImageData(without_test, CifarPreprocessing(8)).num_examples("test")
    assert found(without_test, test_split="validation")["test"] == "validation"  # an explicit binding is followed
    others = folder(tmp_path / "d", train=10, val=3)
    assert found(others)["validation"] == "validation"
    assert found(others, validation_split="val")["validation"] == "val"
    assert ImageData(others, CifarPreprocessing(8), validation_split="val").num_examples("validation") == 6


def test_the_summary_of_a_folder_is_printed_once(tmp_path, capfd):
    source = folder(tmp_path, train=10, test=2)
    (tmp_path / "pets" / "train" / "cat" / "notes.txt").touch()
    for _ in range(2):
        ImageData(source, CifarPreprocessing(8), validation_examples=3).num_examples("train")
    assert capfd.readouterr().err == (
        f"{source}: 24 images, 2 classes, 1 left out (train/cat/notes.txt); "
        "17 for training, 3 for validation (held out of train), 4 for testing\n"
    )
    ImageData(folder(tmp_path / "other", train=2, validation=1), CifarPreprocessing(8)).num_examples("train")
    assert "4 for training, 2 for validation, none for testing" in capfd.readouterr().err


def test_classes_that_holding_out_leaves_without_images_are_reported(tmp_path, capfd):
    source = folder(tmp_path, train=10)
    (tmp_path / "pets" / "train" / "owl").mkdir()
    (tmp_path / "pets" / "train" / "owl" / "0.png").write_bytes((tmp_path / "pets" / "train" / "cat" / "0.png").read_bytes())
    for held_out in range(1, 20):
        data = ImageData(source, CifarPreprocessing(8), validation_examples=held_out)
        counts = data.label_counts
        said = capfd.readouterr().err
        assert ("train has no images of owl" in said) == (counts[data.class_names.index("owl")] == 0)
        assert ("validation has no images of" in said) == (held_out < 3 or counts[2] > 0)


def test_share_examples_tells_whether_splits_overlap(tmp_path):
    source = folder(tmp_path, train=10, validation=3, test=2)
    data = ImageData(source, CifarPreprocessing(8))
    assert not data.share_examples("test", "validation")
    assert ImageData(source, CifarPreprocessing(8), test_split="validation[:2]").share_examples("test", "validation")
    assert ImageData("digits", CifarPreprocessing(8), validation_split="test").share_examples("test", "validation")
    assert not ImageData("digits", CifarPreprocessing(8)).share_examples("test", "validation")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(value, "an integer of 0 or more, or a percentage such as '10%'") for value in (-1, "10", "100%", "x%")]
    + [(value, "an integer or a string") for value in (2.5, True, None)],
)
def test_invalid_validation_examples_are_refused(value, expected):
    with pytest.raises(InputError, match=f"ImageData.validation_examples: expected {expected}, got {value!r}"):
        ImageData("digits", CifarPreprocessing(8), validation_examples=value)


def test_images_in_subfolders_belong_to_the_class(tmp_path):
    files = ("1.png", "2.WEBP", "a/b/3.jpg", ".hidden/4.png", "a/.5.png", "6.txt", "x.png/7.png")
    source = open_source(make_folder(tmp_path / "pets", {f"train/{label}/{name}": 1 for label in ("cat", "dog") for name in files}))
    assert sorted(names(source, "train")) == sorted(2 * ["1.png", "2.WEBP", "3.jpg", "7.png"])
    assert {int(example["label"]) for example in source.examples("train")} == {0, 1}
    assert source.left_out == ("train/cat/6.txt", "train/dog/6.txt")


def test_a_description_without_a_field_is_refused():
    description = ImageData("digits", CifarPreprocessing(8)).description()
    assert ImageData.from_description(description) == ImageData("digits", CifarPreprocessing(8))
    for name in ("source", "preprocessing"):
        with pytest.raises(InputError, match=f"data.json: damaged; expected {name}, got "):
            ImageData.from_description({key: value for key, value in description.items() if key != name})
