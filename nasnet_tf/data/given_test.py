"""Arrays and pipelines as examples: the accepted forms, and the error messages for other forms."""

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.given import of_arrays, of_dataset
from nasnet_tf.data.sources import open_source
from nasnet_tf.data.writing import prepare

LEVELS = np.arange(4 * 6 * 5 * 3).reshape(4, 6, 5, 3) % 256
UINT8 = LEVELS.astype(np.uint8)
NUMBERS = np.array([2, 0, 1, 2])


def read(folder, examples, **others):
    """Prepares examples and reads them again; returns {pixels as bytes: name of the class}."""
    name = prepare(folder, {"train": examples, **others}, may_replace=True)
    source = open_source(name, str(folder))
    rows = source.examples("train").as_numpy_iterator()
    found = {tf.io.decode_png(row["image"]).numpy().tobytes(): source.class_names[row["label"]] for row in rows}
    assert len(found) == source.num_examples("train")
    return found


def expected(images, names):
    return {np.ascontiguousarray(image).tobytes(): name for image, name in zip(images, names, strict=True)}


@pytest.mark.parametrize(
    "images", [UINT8, LEVELS, LEVELS.astype(np.float32), (UINT8 / 255).astype(np.float32), UINT8 / 255.0, UINT8.tolist()]
)
def test_images_come_back_without_loss(images, tmp_path):
    assert read(tmp_path, of_arrays("data", images, NUMBERS)) == expected(UINT8, "2012")


@pytest.mark.parametrize("images", [UINT8[..., 0], UINT8[..., :1]])
def test_all_forms_of_gray_images_are_accepted(images, tmp_path):
    assert read(tmp_path, of_arrays("data", images, NUMBERS)) == expected(UINT8[..., 0], "2012")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (NUMBERS[:, None], "2012"),
        (NUMBERS.astype(np.float32), "2012"),
        (np.eye(4)[NUMBERS], "2012"),
        (["dog", "ant", "cat", "dog"], ["dog", "ant", "cat", "dog"]),
        (np.array([[b"dog"], [b"ant"], [b"cat"], [b"dog"]]), ["dog", "ant", "cat", "dog"]),
        (NUMBERS > 0, "1011"),
    ],
)
def test_all_forms_of_labels_are_accepted(labels, names, tmp_path):
    assert read(tmp_path, of_arrays("data", UINT8, labels)) == expected(UINT8, names)


def test_one_hot_labels_tell_all_classes(tmp_path):
    name = prepare(tmp_path, {"train": of_arrays("data", UINT8, np.eye(7)[NUMBERS])}, may_replace=True)
    assert open_source(name, str(tmp_path)).class_names == tuple("0123456")


def pipelines():
    slices = tf.data.Dataset.from_tensor_slices
    yield slices((UINT8, NUMBERS))
    yield slices((UINT8, NUMBERS)).batch(3)
    yield slices((UINT8, NUMBERS)).shuffle(4)
    yield slices((UINT8 / 255, np.eye(3)[NUMBERS]))
    yield slices((tf.cast(UINT8, tf.float32), NUMBERS[:, None])).batch(2)
    yield slices((UINT8, ["2", "0", "1", "2"])).batch(3)
    yield slices({"image": UINT8, "label": NUMBERS, "id": NUMBERS})


@pytest.mark.parametrize("dataset", list(pipelines()))
def test_all_forms_of_pipelines_are_accepted(dataset, tmp_path):
    assert read(tmp_path, of_dataset("data", dataset)) == expected(UINT8, "2012")


def test_a_pipeline_may_have_images_of_several_sizes_and_class_names(tmp_path):
    images = [UINT8[0], UINT8[1, :3]]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(zip(images, [1, 0], strict=True)),
        output_signature=(tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int32)),
    )
    dataset.class_names = ["ant", "bee"]
    assert read(tmp_path, of_dataset("data", dataset)) == expected(images, ["bee", "ant"])


def infinite():
    return tf.data.Dataset.from_tensor_slices((UINT8, NUMBERS)).repeat()


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (lambda: of_arrays("data", UINT8[0, 0], NUMBERS), r"expected images \[n, height, width, 1 or 3\] or .*, got \[5, 3\]"),
        (lambda: of_arrays("data", UINT8, NUMBERS[:3]), r"a label for each image, got images \[4, 6, 5, 3\] and labels \[3\]"),
        (lambda: of_arrays("data", UINT8[:0], NUMBERS[:0]), "a label for each image"),
        (lambda: of_arrays("data", [UINT8[0], UINT8[1, :3]], [0, 1]), "put images of different sizes into a folder"),
        (lambda: of_arrays("data", np.moveaxis(UINT8, 3, 1), NUMBERS), r"expected images \[height, width, 1 or 3\], got \[3, 6, 5\]"),
        (lambda: of_arrays("data", UINT8 / 127.5 - 1, NUMBERS), "got values from -1 to"),
        (
            lambda: of_arrays("data", UINT8 / 127.5, NUMBERS),
            r"expected floats in \[0, 1\] or \[0, 255\], got values up to 2; scale or clip",
        ),
        (lambda: of_arrays("data", UINT8 / 242.0, NUMBERS), r"got values up to 1\.0"),
        (lambda: of_dataset("data", tf.data.Dataset.from_tensor_slices((UINT8 / 16.0, NUMBERS))), "got values up to 15"),
        (lambda: of_arrays("data", LEVELS * 9, NUMBERS), r"expected images in \[0, 255\]"),
        (lambda: of_arrays("data", np.full([4, 6, 5, 3], np.nan), NUMBERS), "got values from nan"),
        (lambda: of_arrays("data", UINT8 > 9, NUMBERS), "expected images of integers or floats, got bool"),
        (lambda: of_arrays("data", UINT8, NUMBERS - 1), "integers from 0 or names of classes, got -1"),
        (lambda: of_arrays("data", UINT8, [0.0, 1.0, np.inf, 0.0]), "integers from 0 or names of classes, got inf"),
        (lambda: of_arrays("data", UINT8, NUMBERS + 0.5), "integers from 0 or names of classes, got 2.5"),
        (lambda: of_arrays("data", UINT8, np.eye(3)[NUMBERS] + np.eye(3)[0]), "expected one-hot labels"),
        (lambda: of_arrays("data", UINT8, ["a", None, "b", "c"]), "names of classes, got None"),
        (lambda: of_dataset("data", infinite()), "leave out `repeat`"),
        (lambda: of_dataset("data", tf.data.Dataset.from_tensor_slices(UINT8)), r"expected a pipeline of \(image, label\)"),
        (lambda: of_dataset("data", tf.data.Dataset.from_tensor_slices((["a.jpg"], [0]))), "expected images"),
        (lambda: of_dataset("data", tf.data.Dataset.from_tensor_slices((UINT8, NUMBERS)).take(0)), "got none"),
    ],
)
def test_an_error_is_one_line(examples, words, tmp_path):
    with pytest.raises(InputError, match=words) as error:
        prepare(tmp_path / "data", {"train": examples()}, may_replace=True)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("data")
    assert list(tmp_path.iterdir()) == []


def test_the_same_data_is_recognized_in_any_order_and_other_data_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "work" / "data"
    name = prepare(folder, {"train": of_arrays("data", UINT8, NUMBERS)}, may_replace=False)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shuffled = of_dataset("data", tf.data.Dataset.from_tensor_slices((UINT8 / 255, NUMBERS[:, None])).shuffle(4))
    assert prepare(folder, {"train": shuffled}, may_replace=False) == name
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files
    for images, labels in ((UINT8, NUMBERS[::-1]), (UINT8[:3], NUMBERS[:3]), (255 - UINT8, NUMBERS)):
        other = {"train": of_arrays("data", images, labels)}
        with pytest.raises(InputError, match=r"data: the images or labels are not those that .*work was begun with"):
            prepare(folder, other, may_replace=False)
    assert prepare(folder, other, may_replace=True) != name
    assert len(list(folder.iterdir())) == 1


def test_floats_may_exceed_1_by_rounding_and_a_pipeline_of_levels_may_begin_with_black(tmp_path):
    unit = np.float32(UINT8 / UINT8.max())
    assert read(tmp_path / "a", of_arrays("data", unit * np.float32(1 + 1e-6), NUMBERS)) == read(
        tmp_path / "b", of_arrays("data", unit, NUMBERS)
    )
    levels = UINT8.astype(np.float32)
    levels[0] = 0
    dataset = tf.data.Dataset.from_tensor_slices((levels, NUMBERS))
    assert read(tmp_path / "c", of_dataset("data", dataset)) == expected(levels.astype(np.uint8), "2012")


@pytest.mark.parametrize("labels", [NUMBERS.astype(object), np.array([str(number) for number in NUMBERS], np.dtypes.StringDType())])
def test_labels_of_tables_are_accepted(labels, tmp_path):
    assert read(tmp_path, of_arrays("data", UINT8, labels)) == expected(UINT8, "2012")


def test_another_number_of_classes_is_other_data(tmp_path):
    few, more, names = NUMBERS, np.eye(10)[NUMBERS], [str(number) for number in NUMBERS]
    assert len({prepare(tmp_path, {"train": of_arrays("data", UINT8, labels)}, may_replace=True) for labels in (few, more, names)}) == 3


def test_folders_of_the_user_are_kept(tmp_path):
    for name in ("prepared_mnist", "incomplete", "prepared_0123456789abcdef"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").touch()
    for images in (UINT8, 255 - UINT8):
        name = prepare(tmp_path, {"train": of_arrays("data", images, NUMBERS)}, may_replace=True)
    assert {path.name for path in tmp_path.iterdir()} == {"prepared_mnist", "incomplete", "prepared_0123456789abcdef", name}
    assert len(list(tmp_path.rglob("mine.txt"))) == 3


def test_a_class_without_training_examples_is_refused(tmp_path):
    splits = {"train": of_arrays("data", UINT8, NUMBERS), "validation": of_arrays("validation", UINT8, NUMBERS + 1)}
    with pytest.raises(InputError, match="validation: expected only classes of data, got also 3 in validation"):
        prepare(tmp_path, splits, may_replace=True)


def test_slices_have_all_classes(tmp_path):
    """Arrays are often sorted by class, and the last records are held out."""
    images = np.random.default_rng(0).integers(0, 256, [60, 4, 4, 3]).astype(np.uint8)
    name = prepare(tmp_path, {"train": of_arrays("data", images, np.repeat([0, 1, 2], 20))}, may_replace=True)
    source = open_source(name, str(tmp_path))
    assert {int(label) for labels in source.labels("train[-15:]") for label in labels} == {0, 1, 2}
