import collections
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData, ImageNetPreprocessing, pipeline
from nasnet_tf.data.sources import Source
from nasnet_tf.data.sources_test import make_folder
from nasnet_tf.testing import jpeg, png

PLAIN = ImageNetPreprocessing(image_size=4, distort_color=False)
DIGITS = CifarPreprocessing(image_size=8, flip=False, cutout_size=3)


@pytest.fixture(name="folder")
def folder_of_gray(tmp_path) -> pathlib.Path:
    """Ten training and three test images, each with its own gray level, which is even for cats and odd for dogs."""
    splits = [("train", level) for level in range(10)] + [("test", level) for level in range(100, 103)]
    make_folder(tmp_path, {f"{split}/{('cat', 'dog')[level % 2]}/{level}.png": level for split, level in splits})
    return tmp_path


def gray_data(folder: pathlib.Path, **fields) -> ImageData:
    return ImageData(f"folder:{folder}", PLAIN, **fields)


def levels(images) -> list[int]:
    """Returns the gray levels of the files from which PLAIN prepared these images."""
    return np.rint((np.asarray(images)[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def train_levels(data: ImageData, count: int, seed: int = 1, batch_size: int = 5) -> list[int]:
    return [level for images, _ in data.train(batch_size, seed).take(count // batch_size) for level in levels(images)]


def test_classes_image_size_and_numbers_of_examples(folder):
    data = gray_data(folder, validation_examples=3)
    assert (data.class_names, data.num_classes, data.image_size) == (("cat", "dog"), 2, 4)
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [7, 3, 3]
    assert data.num_train_examples == 7


def test_training_batches_match_images_with_labels(folder):
    images, labels = next(iter(gray_data(folder).train(4, seed=1)))
    assert (images.shape, images.dtype) == ((4, 4, 4, 3), tf.float32)
    assert (labels.shape, labels.dtype) == ((4,), tf.int32)
    assert [level % 2 for level in levels(images)] == labels.numpy().tolist()


def test_every_epoch_holds_every_example_in_an_order_of_its_own(folder):
    stream = train_levels(gray_data(folder), 40, batch_size=4)  # batches cross the ends of epochs
    epochs = [stream[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_order_is_decided_by_the_seed_alone(folder):
    data = gray_data(folder)
    tf.random.set_seed(1)
    first = train_levels(data, 20)
    tf.random.set_seed(2)
    assert train_levels(data, 20) == first
    assert train_levels(gray_data(folder, cache=False), 20) == first
    assert train_levels(data, 20, seed=2) != first


def test_augmentation_differs_between_epochs_and_seeds():
    data = ImageData("digits", DIGITS, train_split="train[:1]")  # one image, so each row of a batch is an epoch
    images = np.concatenate([images for images, _ in data.train(4, seed=1).take(1)])
    assert len({image.tobytes() for image in images}) == 4
    (other,) = [images.numpy() for images, _ in data.train(4, seed=2).take(1)]
    assert not np.array_equal(images, other)


@pytest.mark.parametrize("preprocessing", [DIGITS, ImageNetPreprocessing(image_size=8)])
def test_resumes_exactly(preprocessing):
    whole = list(ImageData("digits", preprocessing, train_split="train[:50]").train(8, seed=3).take(25))
    for start_step in (3, 17):
        # Another object, as in another process, and another global seed.
        tf.random.set_seed(start_step)
        resumed = ImageData("digits", preprocessing, train_split="train[:50]").train(8, seed=3, start_step=start_step).take(8)
        for (images, labels), (images_again, labels_again) in zip(whole[start_step : start_step + 8], resumed, strict=True):
            np.testing.assert_array_equal(images, images_again)
            np.testing.assert_array_equal(labels, labels_again)


def test_skipped_examples_are_not_read(folder):
    data = gray_data(folder, cache=False)
    (first,) = data.names(1, seed=1, step=0)
    pathlib.Path(first).unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match="cannot be read: No such file"):
        next(iter(data.train(1, seed=1)))
    assert len(list(data.train(1, seed=1, start_step=1).take(2))) == 2


def test_corrupt_images_are_zeros_with_label_minus_1_and_others_keep_their_rows(folder):
    data = gray_data(folder, cache=False)
    before = [(images.numpy(), labels.numpy()) for images, labels in data.train(5, seed=1).take(6)]
    corrupt = {"3", "7"}
    for file in folder.glob("train/dog/[37].png"):
        file.write_bytes(b"not an image")
    for step, (images, labels) in enumerate(data.train(5, seed=1).take(6)):
        names = data.names(5, seed=1, step=step)
        bad = [pathlib.Path(name).stem in corrupt for name in names]
        assert (labels.numpy() == -1).tolist() == bad
        assert not np.any(images.numpy()[bad])
        good = np.logical_not(bad)
        np.testing.assert_array_equal(images.numpy()[good], before[step][0][good])
        np.testing.assert_array_equal(labels.numpy()[good], before[step][1][good])
        assert [level for level, is_bad in zip(levels(images), bad, strict=True) if not is_bad] == [
            int(pathlib.Path(name).stem) for name, is_bad in zip(names, bad, strict=True) if not is_bad
        ]


def test_a_batch_of_corrupt_images_only(folder):
    for file in folder.glob("train/*/*.png"):
        file.write_bytes(b"not an image")
    for images, labels in gray_data(folder).train(4, seed=1).take(3):
        assert (images.shape, labels.numpy().tolist()) == ((4, 4, 4, 3), [-1] * 4)
        assert not np.any(images)


def test_evaluation_does_not_skip_corrupt_images(folder):
    (folder / "test" / "cat" / "100.png").write_bytes(b"not an image")
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(gray_data(folder).evaluation("test", 2))


def test_shards_of_training_together_are_the_batch():
    count = 4
    data = ImageData("digits", DIGITS, train_split="train[:30]")
    shards = [data.train(8, seed=3, start_step=2, shard=(index, count)).take(5) for index in range(count)]
    for whole, *parts in zip(data.train(8, seed=3, start_step=2).take(5), *shards, strict=True):
        for expected, *pieces in zip(whole, *parts, strict=True):
            assert all(piece.shape[0] == 8 // count for piece in pieces)
            np.testing.assert_array_equal(np.concatenate(pieces), expected)


@pytest.mark.parametrize("examples", [5, 8])
def test_shards_of_evaluation_together_are_the_batches(folder, examples):
    data = gray_data(folder, train_split=f"train[:{examples}]")
    shards = [data.evaluation("train", 4, shard=(index, 2)) for index in range(2)]
    for whole, *parts in zip(data.evaluation("train", 4), *shards, strict=True):
        for expected, *pieces in zip(whole, *parts, strict=True):
            np.testing.assert_array_equal(np.concatenate(pieces), expected)


def test_cache_reads_files_once(folder):
    for cache in (False, True):
        data = gray_data(folder, cache=cache)
        first = train_levels(data, 20)
        moved = [file.rename(file.with_suffix(".moved")) for file in folder.glob("train/*/*.png")]
        if cache:
            assert train_levels(data, 20) == first
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match="cannot be read: No such file"):
                train_levels(data, 20)
        for file in moved:
            file.rename(file.with_suffix(".png"))


def test_evaluation_gives_each_example_once_and_fills_up_with_weight_0(folder):
    batches = list(gray_data(folder).evaluation("train", 4))
    for images, labels, weights in batches:
        assert (images.shape, labels.shape, weights.shape) == ((4, 4, 4, 3), (4,), (4,))
        assert (images.dtype, labels.dtype, weights.dtype) == (tf.float32, tf.int32, tf.float32)
    assert [weights.numpy().tolist() for _, _, weights in batches] == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert sorted(levels(np.concatenate([images for images, _, _ in batches]))[:10]) == list(range(10))
    assert not np.any(batches[-1][0][2:])
    assert [level % 2 for level in levels(batches[0][0])] == batches[0][1].numpy().tolist()


def test_evaluation_is_finite_and_has_static_shapes(folder):
    dataset = gray_data(folder).evaluation("test", 2)
    assert [spec.shape.as_list() for spec in dataset.element_spec] == [[2, 4, 4, 3], [2], [2]]
    assert int(dataset.cardinality()) == 2


def evaluated(data: ImageData, split: str) -> set[int]:
    return {level for images, _, weights in data.evaluation(split, 1) for level in levels(images) if weights[0]}


def test_hold_out_does_not_overlap_training(folder):
    data = gray_data(folder, validation_examples=3)
    train, validation = set(train_levels(data, 35)), evaluated(data, "validation")
    assert len(train) == 7
    assert train | validation == set(range(10))
    assert evaluated(data, "train") == train
    assert evaluated(gray_data(folder, validation_examples=3), "validation") == validation
    assert evaluated(data, "test") == {100, 101, 102}


def test_hold_out_of_a_slice_stays_in_the_slice(folder):
    data = gray_data(folder, train_split="train[2:8]", validation_examples=2)
    order = [int(pathlib.Path(example["name"].numpy().decode()).stem) for example in data._source.examples("train")]
    assert evaluated(data, "validation") == set(order[6:8])
    assert evaluated(data, "train") == set(order[2:6])


def test_validation_can_be_a_slice_of_the_training_split(folder):
    data = gray_data(folder, train_split="train[:60%]", validation_split="train[60%:]", test_split="test[:2]")
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [6, 4, 2]
    assert evaluated(data, "train") | evaluated(data, "validation") == set(range(10))


def test_hold_out_of_digits_shares_no_image_with_training_and_has_every_class():
    data = ImageData("digits", CifarPreprocessing(image_size=8), validation_examples=200)
    train, validation = (list(data._source.examples(data._slice(split))) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (1237, 200)
    assert not {example["image"].numpy() for example in train} & {example["image"].numpy() for example in validation}
    assert {int(example["label"]) for example in validation} == set(range(10))


def test_pickles_after_use(folder):
    data = gray_data(folder, validation_examples=3)
    before = train_levels(data, 10)
    again = pickle.loads(pickle.dumps(data))
    assert again == data
    assert train_levels(again, 10) == before


def test_source_is_opened_once(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(pipeline, "open_source", lambda *args: opened.append(args) or Source("x", ("a",), {"train": 3}, None, None))
    data = gray_data(folder)
    assert (data.num_classes, data.num_train_examples, data.class_names) == (1, 3, ("a",))
    assert opened == [(f"folder:{folder}", None)]


class Counted:
    """An ImageData of gray images that counts how often each image is read."""

    def __init__(self, monkeypatch, examples: int):
        image = png(np.zeros([2, 2, 3]))
        self.read = collections.Counter()

        def read(split, numbers):
            self.read.update(numbers.tolist())
            return [image] * len(numbers)

        def parse(split, numbers, records):
            return {"image": records, "label": tf.zeros_like(numbers), "name": tf.strings.as_string(numbers)}

        monkeypatch.setattr(pipeline, "open_source", lambda *_: Source("x", ("a",), {"train": examples, "test": examples}, read, parse))
        self.data = ImageData("x", CifarPreprocessing(image_size=2, upsample=1.0), cache=False)


@pytest.mark.parametrize("start_step", [0, 250])
def test_workers_and_resumed_trainings_read_what_they_need(start_step, monkeypatch):
    examples, batch_size, workers = 2000, 4, 4
    steps = examples // batch_size - start_step
    readers = []
    for index in range(workers):
        counted = Counted(monkeypatch, examples)
        for _ in counted.data.train(batch_size, 1, start_step, (index, workers)).take(steps):
            pass
        readers.append(counted.read)
    needed = steps * batch_size // workers
    for read in readers:
        assert needed <= sum(read.values()) <= 1.05 * needed  # prefetched examples are from the next epoch
    assert sum(len(read) for read in readers) == pytest.approx(steps * batch_size, rel=0.05)
    assert len(set().union(*readers)) >= steps * batch_size  # no two workers read the same example


def test_each_worker_evaluates_its_own_examples(monkeypatch):
    readers = []
    for index in range(4):
        counted = Counted(monkeypatch, 1003)
        assert len(list(counted.data.evaluation("test", 8, (index, 4)))) == 126
        readers.append(counted.read)
    assert [sum(read.values()) for read in readers] == [252, 251, 250, 250]
    assert sum(readers, collections.Counter()) == collections.Counter(range(1003))


def test_diagnose_names_the_corrupt_image(folder):
    data = gray_data(folder)
    assert data.diagnose("train") is None
    whole = jpeg(np.random.default_rng(0).integers(0, 255, [32, 32, 3]))
    (folder / "train" / "dog" / "3.png").write_bytes(whole[: len(whole) // 2])
    error = data.diagnose("train")
    assert isinstance(error, InputError)
    assert str(folder / "train" / "dog" / "3.png") in str(error)
    assert "cannot be decoded as an image: " in str(error)
    assert "{{" not in str(error)
    assert data.diagnose("test") is None


def test_diagnose_names_the_unreadable_file(folder):
    data = gray_data(folder)
    assert data.num_train_examples == 10
    (folder / "train" / "dog" / "3.png").unlink()
    assert "dog/3.png cannot be read: No such file" in str(data.diagnose("train"))


def test_diagnose_names_labels_out_of_range(folder, monkeypatch):
    image = (folder / "test" / "cat" / "100.png").read_bytes()

    def parse(split, numbers, records):
        return {"image": records, "label": -numbers, "name": tf.gather(["good", "bad"], numbers)}

    source = Source("x", ("a",), {"test": 2}, lambda split, numbers: [image] * len(numbers), parse)
    monkeypatch.setattr(pipeline, "open_source", lambda *_: source)
    assert "bad has label -1; expected 0..0 (the split may be unlabeled)" in str(gray_data(folder).diagnose("test"))


@pytest.mark.parametrize(
    ("fields", "use", "message"),
    [
        ({"validation_examples": 1, "validation_split": "test"}, None, "expected validation_split or validation_examples, not both"),
        ({"validation_examples": 10}, lambda d: d.train(1, 1), "expected fewer than the 10 examples of 'train', got 10"),
        ({"validation_examples": 11}, lambda d: d.num_examples("validation"), "expected fewer than the 10 examples of 'train', got 11"),
        ({"train_split": "train[:6]", "validation_split": "train[5:]"}, lambda d: d.train(1, 1), "shares examples with train_split"),
        (
            {},
            lambda d: d.evaluation("validation", 1),
            "no validation split: bind ImageData.validation_split .* or ImageData.validation_examples",
        ),
        ({}, lambda d: d.evaluation("dev", 1), "unknown split 'dev'; expected 'train', 'validation' or 'test'"),
        ({}, lambda d: d.train(0, 1), "batch_size: expected an integer of 1 or more, got 0"),
        ({}, lambda d: d.evaluation("test", 0), "batch_size: expected an integer of 1 or more, got 0"),
        ({}, lambda d: d.train(4, 1, shard=(0, 3)), "batch_size: expected a multiple of the 3 workers that share each batch, got 4"),
        ({}, lambda d: d.evaluation("test", 4, shard=(0, 3)), "expected a multiple of the 3 workers that share each batch, got 4"),
        ({}, lambda d: d.train(4, 1, shard=(2, 2)), r"shard: expected \(index, count\) with an index of 0..1, got \(2, 2\)"),
        ({}, lambda d: d.train(1, 1, -1), "start_step: expected an integer of 0 or more, got -1"),
        ({"train_split": "training"}, lambda d: d.train(1, 1), "has no split 'training'; it has test, train"),
        ({"test_split": "testing"}, lambda d: d.evaluation("test", 1), "has no split 'testing'; it has test, train"),
    ],
)
def test_invalid_splits_and_arguments_are_refused(folder, fields, use, message):
    def attempt():
        data = gray_data(folder, **fields)
        if use:
            use(data)

    with pytest.raises(InputError, match=message):
        attempt()
