import os
import pathlib
import shutil
import socket

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.data.sources import open_source
from nasnet_tf.testing import SHARED, png

TFDS_DIR = SHARED / "data" / "tensorflow_datasets"


def gray(level: int) -> bytes:
    return png(np.full([2, 2, 3], level))


def make_folder(root: pathlib.Path, files: dict[str, int]) -> str:
    """Writes PNGs of one gray level each, {"train/cat/1.png": level}, and returns the name of the data set."""
    for name, level in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(gray(level))
    return f"folder:{root}"


def make_prepared(root: pathlib.Path, features: dict, examples: list[dict], supervised_keys=None, name="mine", version="1.0.0") -> None:
    """Writes a data set as TFDS prepares it, with all examples in `train`; the name may include a config."""
    folder, base = root / name / version, name.partition("/")[0]
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(features)
    with tf.io.TFRecordWriter(str(folder / f"{base}-train.tfrecord-00000-of-00001")) as writer:
        for example in examples:
            writer.write(features.serialize_example(features.encode_example(example)))
    template = tfds.core.ShardedFileTemplate(folder, dataset_name=base, filetype_suffix="tfrecord", split="train")
    info = tfds.core.SplitInfo(name="train", shard_lengths=[len(examples)], num_bytes=1, filename_template=template)
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=[info], version=version, supervised_keys=supervised_keys, check_data=False
    )


def no_network(*args, **kwargs):
    raise AssertionError("tried to reach the network")


@pytest.fixture(name="pets")
def pets_folder(tmp_path) -> str:
    files = {f"train/{label}/{i}.png": 10 * i + (label == "dog") for label in ("cat", "dog") for i in range(20)}
    return make_folder(tmp_path / "pets", files | {"test/cat/a.png": 250, "test/dog/b.PNG": 251})


def names(source, split: str) -> list[str]:
    return [pathlib.Path(example["name"].numpy().decode()).name for example in source.examples(split)]


def test_folder_gives_every_file_with_the_label_of_its_folder(pets):
    source = open_source(pets)
    assert source.class_names == ("cat", "dog")
    assert source.splits == {"test": 2, "train": 40}
    examples = list(source.examples("train"))
    assert len({example["name"].numpy() for example in examples}) == 40
    for example in examples:
        path = pathlib.Path(example["name"].numpy().decode())
        assert source.class_names[example["label"].numpy()] == path.parent.name
        assert example["image"].numpy() == path.read_bytes()
    assert examples[0]["label"].dtype == tf.int64


def test_folder_order_is_mixed_and_depends_on_names_only(pets, tmp_path):
    labels = [int(example["label"]) for example in open_source(pets).examples("train")]
    assert 5 <= sum(labels[:20]) <= 15
    shutil.copytree(tmp_path / "pets", tmp_path / "elsewhere")
    assert names(open_source(f"folder:{tmp_path / 'elsewhere'}"), "train") == names(open_source(pets), "train")


def test_slices_are_parts_of_the_whole(pets):
    source = open_source(pets)
    whole = names(source, "train")
    for text, start, stop in [
        ("train[:30]", 0, 30),
        ("train[30:]", 30, 40),
        ("train[:90%]", 0, 36),
        ("train[90%:]", 36, 40),
        ("train[-5:]", 35, 40),
        ("train[:-25%]", 0, 30),
        ("train[10:12]", 10, 12),
        ("train[:]", 0, 40),
    ]:
        assert source.bounds(text) == ("train", start, stop), text
        assert source.num_examples(text) == stop - start
        assert names(source, text) == whole[start:stop], text


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("valid", r"has no split 'valid'; it has test, train"),
        ("train[5:5]", r"'train\[5:5\]' is empty or out of range, from example 5 to 5; 'train' has 40 examples"),
        ("train[:41]", r"out of range, from example 0 to 41; 'train' has 40"),
        ("train[-41:]", r"out of range, from example -1 to 40"),
        ("train[:101%]", r"cannot read split 'train\[:101%\]'"),
        ("train[30:20]", r"empty or out of range"),
        ("train[a:]", r"cannot read split 'train\[a:\]'; expected a name or a slice"),
        ("train+test", r"has no split 'train\+test'"),
    ],
)
def test_invalid_splits_are_refused(pets, split, message):
    with pytest.raises(InputError, match=message):
        open_source(pets).num_examples(split)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no folder .*x; expected images as .*<split>/<label>/\*\.jpg"),
        ({"a.png": 1}, r"has no folders of splits"),
        ({"cat/1.png": 1}, r"x/cat has no folders of classes; expected images as"),
        ({"train/cat/1.png": 1, "train/dog/notes.txt": 1}, r"x/train/dog has no images; expected files \.jpg"),
        ({"train/cat/1.png": 1, "test/dog/1.png": 1, "test/cat/1.png": 1}, r"split 'train' lacks the classes dog that other splits have"),
    ],
)
def test_folders_of_another_layout(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        open_source(make_folder(tmp_path / "x", files))


def test_digits_are_shipped(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", no_network)
    source = open_source("digits")
    assert source.splits == {"train": 1437, "test": 360}
    assert source.class_names == tuple("0123456789")
    first = next(iter(source.examples("test[3:]")))
    assert tf.io.decode_image(first["image"]).shape == (8, 8, 1)
    assert first["name"].numpy() == b"test example 3"


def test_prepared_set_with_keys_of_other_names(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", no_network)
    features = {
        "photo": tfds.features.Image(shape=(2, 2, 3), encoding_format="png"),
        "species": tfds.features.ClassLabel(names=["cat", "dog"]),
        "file_name": tfds.features.Text(),
    }
    make_prepared(tmp_path, features, [{"photo": gray(7), "species": "dog", "file_name": "rex.png"}])
    source = open_source("mine", str(tmp_path))
    assert source.class_names == ("cat", "dog")
    (example,) = source.examples("train")
    assert (example["image"].numpy(), int(example["label"]), example["name"].numpy()) == (gray(7), 1, b"rex.png")


def test_the_declared_label_is_used_if_there_are_several(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(2, 2, 3), encoding_format="png"),
        "coarse": tfds.features.ClassLabel(names=["pet"]),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    }
    example = {"image": gray(7), "coarse": 0, "label": 1}
    make_prepared(tmp_path / "declared", features, [example], supervised_keys=("image", "label"))
    assert open_source("mine", str(tmp_path / "declared")).class_names == ("cat", "dog")
    make_prepared(tmp_path / "open", features, [example])
    with pytest.raises(
        InputError, match=r"expected one image and one class label, got images \['image'\], class labels \['coarse', 'label'\]"
    ):
        open_source("mine", str(tmp_path / "open"))


def test_a_set_without_labels_is_refused(tmp_path):
    make_prepared(tmp_path, {"text": tfds.features.Text()}, [{"text": "hello"}])
    with pytest.raises(InputError, match=r"'mine' is not an image classification set: .* got images \[\], class labels \[\] .*'text'"):
        open_source("mine", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifer10", r"unknown data set 'cifer10'; the nearest known are cifar10\b"),
        ("digit", r"the nearest known are digits\b"),
        ("foldr:images", r"unknown data set 'foldr:images'; the nearest known are .*folder:PATH"),
        ("huggingface:mnist", r"unknown data set 'huggingface:mnist'"),
        ("cifar10:9.9.9", r"'cifar10:9.9.9': .*cannot be loaded at version 9.9.9, only: 3.0.2"),
        ("not a name", r"'not a name': Parsing builder name string not a name failed"),
    ],
)
def test_unknown_names_are_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message) as caught:
        open_source(name, str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"data_dir '/no/such/folder': no such folder"):
        open_source(name, "/no/such/folder")


def test_download_without_a_network_fails_soon(tmp_path, monkeypatch):
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(
        InputError, match=r"'cifar10' is not prepared in .*cifar10/3.0.2 and cannot be downloaded, because www.cs.toronto.edu cannot"
    ):
        open_source("cifar10", str(tmp_path))


def test_download_by_hand_says_what_goes_where(tmp_path):
    with pytest.raises(
        InputError, match=r"downloaded by hand into .*downloads/manual: .*ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
    ):
        open_source("imagenet2012", str(tmp_path))


def test_download_by_hand_of_something_else(tmp_path):
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "holiday.tar").touch()
    with pytest.raises(InputError, match=r"TensorFlow Datasets could not prepare it: .*ILSVRC2012_img_val.tar; No such file"):
        open_source("imagenet2012", str(tmp_path))


@pytest.mark.skipif(not TFDS_DIR.is_dir(), reason="needs prepared TFDS data")
@pytest.mark.parametrize(("name", "splits", "classes"), [("cifar10", 60_000, 10), ("imagenet2012", 600, 1000)])
def test_prepared_sets_of_tfds(name, splits, classes, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", no_network)
    source = open_source(name, str(TFDS_DIR))
    assert sum(source.splits.values()) == splits
    assert len(source.class_names) == classes
    examples = list(source.examples("train[90%:92%]"))
    assert len(examples) == source.splits["train"] // 50
    assert len({example["name"].numpy() for example in examples}) == len(examples)
    assert tf.io.decode_image(examples[0]["image"]).shape[-1] == 3


def test_names_that_are_not_utf8(tmp_path):
    root = tmp_path / "pets"
    make_folder(root, {"train/cat/a.png": 1, "train/dog/a.png": 2})
    strange = os.path.join(os.fsencode(root / "train" / "cat"), b"caf\xe9.png")
    with open(strange, "wb") as file:
        file.write(gray(3))
    os.mkdir(os.path.join(os.fsencode(root / "train"), b"\xff"))
    with open(os.path.join(os.fsencode(root / "train"), b"\xff", b"\xfe.png"), "wb") as file:
        file.write(gray(4))
    source = open_source(f"folder:{root}")
    assert source.class_names == ("\\xff", "cat", "dog")
    assert len(list(source.examples("train"))) == 4
    data = ImageData(f"folder:{root}", CifarPreprocessing(8))
    assert data.diagnose("train") is None
    with open(strange, "wb") as file:
        file.write(b"no image")
    assert r"train/cat/caf\xe9.png cannot be decoded as an image" in str(data.diagnose("train"))
    assert any(name.endswith(r"caf\xe9.png") for name in data.corrupt_names(4, 0, 0))


def test_linked_folders_are_followed_and_loops_are_not(tmp_path):
    make_folder(tmp_path / "elsewhere", {"b.png": 1, "deeper/c.png": 2, "notes.txt": 0})
    name = make_folder(tmp_path / "pets", {"train/cat/a.png": 3, "train/dog/a.png": 4})
    cat = tmp_path / "pets" / "train" / "cat"
    (cat / "more").symlink_to(tmp_path / "elsewhere")
    (cat / "loop").symlink_to(tmp_path / "pets")
    (tmp_path / "elsewhere" / "again").symlink_to(cat)
    (tmp_path / "pets" / "train" / "bird").symlink_to(tmp_path / "elsewhere")
    source = open_source(name)
    assert source.class_names == ("bird", "cat", "dog")
    assert sorted(names(source, "train").count(each) for each in ("a.png", "b.png", "c.png")) == [2, 2, 3]
    assert source.left_out == ("train/bird/notes.txt", "train/cat/loop")


def test_a_class_that_test_lacks_is_noted(tmp_path, capsys):
    name = make_folder(tmp_path / "pets", {"train/cat/1.png": 1, "train/dog/1.png": 2, "test/dog/1.png": 3})
    source = open_source(name)
    assert source.class_names == ("cat", "dog")
    assert [int(example["label"]) for example in source.examples("test")] == [1]
    assert ImageData(name, CifarPreprocessing(8)).num_examples("test") == 1
    assert "test has no images of cat" in capsys.readouterr().err
