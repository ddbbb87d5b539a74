"""From the name of a data set to its examples: images as encoded files, never decoded here.

Three kinds of names: `digits`, the prepared set that ships with the package; `folder:PATH`, images as PATH/<split>/<label>/*.jpg, or deeper
in there; and any image classification set of TensorFlow Datasets (TFDS), which is downloaded and prepared where that is possible.

Of a folder, `train` is trained on; `validation` chooses among checkpoints and architectures, or where there is none, examples held out of
`train`; `test`, if it is there, is looked at by evaluation only.
"""

import dataclasses
import difflib
import os
import pathlib
import random
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping

import tensorflow as tf
import tensorflow_datasets as tfds

from nasnet_tf.errors import InputError
from nasnet_tf.files import IMAGE_SUFFIXES, files_below, image_files, user_path

FOLDER_PREFIX = "folder:"
_LAYOUT = "<split>/<label>/*.jpg, with a split `train` and, if you like, `validation` and `test`"
_SPELLINGS = {"val": "validation", "valid": "validation"}  # folders that others call so
_DIGITS = pathlib.Path(__file__).parent / "digits"
_POSITION = r"-?(?:\d+|(?:100|\d{1,2})%)"
_SPLIT = re.compile(rf"(?P<name>[^\[\]]+)(\[(?P<start>{_POSITION})?:(?P<stop>{_POSITION})?\])?")
_CONNECT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set that was found.

    Attributes:
      name: the name it was opened by.
      class_names: the name of each label, in the order of the labels 0..len - 1.
      splits: number of examples of each split.
      is_folder: whether it is a folder of images, whose splits have the meaning above; those of other sets are as they may be.
      left_out: files of a folder that are no images.
      read: (split name, first, one past the last) -> the examples in between, always in the same order.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, int]
    read: Callable[[str, int, int], tf.data.Dataset] = dataclasses.field(repr=False)
    is_folder: bool = False
    left_out: tuple[str, ...] = ()

    def bounds(self, split: str) -> tuple[str, int, int]:
        """(name, first example, one past the last) of a split or a slice of one: `train`, `train[:45000]`, `train[-500:]`, `train[:90%]`.

        Raises:
          InputError: not such an expression, an unknown split, or a slice that is empty or reaches beyond the split.
        """
        match = _SPLIT.fullmatch(split)
        if not match:
            raise InputError(
                f"data set {self.name!r}: cannot read split {split!r}; "
                "expected a name or a slice of one such as 'train[:45000]' or 'train[:90%]'"
            )
        name = match["name"]
        if self.is_folder and name not in self.splits and _SPELLINGS.get(name) in self.splits:
            name = _SPELLINGS[name]
        if name not in self.splits:
            raise InputError(f"data set {self.name!r} has no split {name!r}; it has {', '.join(self.splits)}")
        size = self.splits[name]
        start = _position(match["start"], size, default=0)
        stop = _position(match["stop"], size, default=size)
        if not 0 <= start < stop <= size:
            raise InputError(
                f"data set {self.name!r}: split {split!r} is empty or out of range, "
                f"from example {start} to {stop}; {name!r} has {size} examples"
            )
        return name, start, stop

    def num_examples(self, split: str) -> int:
        """Number of examples of a split or of a slice of one."""
        _, start, stop = self.bounds(split)
        return stop - start

    def examples(self, split: str) -> tf.data.Dataset:
        """The examples of a split or of a slice of one, in an order that never changes.

        Returns:
          A finite data set of {"image": string [], the encoded file; "label": int64 []; "name": string [], what to call the example in a
          message: its file, its id, or "train example 17" in reading order}.
        """
        return self.read(*self.bounds(split))


def open_source(name: str, data_dir: str | None = None) -> Source:
    """Finds a data set by its name.

    Args:
      name: `digits`, `folder:PATH`, or a name of TFDS, which may carry a config and a version: `cifar10`, `imagenet2012:5.1.0`.
      data_dir: where TFDS data sets are, or are to be, prepared (TFDS' own default, ~/tensorflow_datasets, if None). Data that is
        prepared there is read without touching the network.

    Raises:
      InputError: an unknown name, a folder of another layout, data that is neither there nor can be downloaded, or that is not made of
        images and labels.
    """
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
        if not tf.io.gfile.isdir(data_dir):
            raise InputError(f"data_dir {data_dir!r}: no such folder; expected the one that TensorFlow Datasets prepares its data in")
    if name == "digits":
        return _tfds_source(name, tfds.builder_from_directory(_DIGITS))
    if name.startswith(FOLDER_PREFIX):
        return _folder_source(name, user_path(name.removeprefix(FOLDER_PREFIX)))
    return _tfds_source(name, _prepared_builder(name, data_dir))


def _position(text: str | None, size: int, default: int) -> int:
    """An end of a slice as a number of examples; percentages are rounded, negative ones count from the end (all as in TFDS)."""
    if text is None:
        return default
    position = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return position + size if text.startswith("-") else position


def _tfds_source(name: str, builder: tfds.core.DatasetBuilder) -> Source:
    image_key, label_key = _image_and_label_keys(name, builder.info)
    features = dict(builder.info.features.items())
    name_key = next((key for key in ("file_name", "id") if isinstance(features.get(key), tfds.features.Text)), None)
    keys = [key for key in (image_key, label_key, name_key) if key]
    decoders = tfds.decode.PartialDecoding(dict.fromkeys(keys, True), {image_key: tfds.decode.SkipDecoding()})
    read_config = tfds.ReadConfig(try_autocache=False)  # the pipeline decides what stays in memory

    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        examples = builder.as_dataset(split=f"{split}[{start}:{stop}]", decoders=decoders, read_config=read_config, shuffle_files=False)

        @tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to do here, and takes longer than all the rest of a start
        def rename(index, example):
            called = example[name_key] if name_key else tf.strings.join([f"{split} example ", tf.strings.as_string(index)])
            return {"image": example[image_key], "label": example[label_key], "name": called}

        return examples.enumerate(start).map(rename)

    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    return Source(name, tuple(features[label_key].names), sizes, read)


def _image_and_label_keys(name: str, info: tfds.core.DatasetInfo) -> tuple[str, str]:
    """The (image, label) that the data set itself declares, else the only image and the only label that it has."""
    # Sorted, as those of a prepared set come in another order in each process.
    features = dict(sorted(info.features.items())) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]  # subclasses are masks, not pictures
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    declared = info.supervised_keys
    if declared and len(declared) == 2 and declared[0] in images and declared[1] in labels:
        return declared
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"data set {name!r} is not one of images with labels: expected one image and one class label, "
            f"got images {images}, class labels {labels} among its features {list(features)}"
        )
    return images[0], labels[0]


def _prepared_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        namespace = tfds.core.naming.parse_builder_name_kwargs(name)[0].namespace
        if namespace:  # TFDS would fetch the list of community data sets, and hang for minutes where there is no network
            raise tfds.core.DatasetNotFoundError(name)
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        # Community sets are left out for the same reason.
        known = ["digits", f"{FOLDER_PREFIX}PATH", *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, known, n=4) or known[:2]
        raise InputError(
            f"unknown data set {name!r}; the nearest known are {', '.join(near)} (any name of TensorFlow Datasets will do)"
        ) from error
    except (ValueError, AssertionError, RuntimeError) as error:  # TFDS' ways to say: no such version, no such config
        raise InputError(f"data set {name!r}: {_one_line(error)}") from error
    if not builder.is_prepared():
        _prepare(name, builder)
    return builder


def _prepare(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Downloads and prepares a data set, after checks that spare the user TFDS' minutes of silent retries."""
    where = f"data set {name!r} is not prepared in {builder.data_path}"
    manual = pathlib.Path(builder.data_dir_root) / "downloads" / "manual"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not (manual.is_dir() and any(manual.iterdir())):
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise InputError(f"{where} and has to be downloaded by hand into {manual}: {instructions}")
    hosts = {urllib.parse.urlsplit(url).netloc: url for url in builder.url_infos or () if url.startswith("http")}
    if hosts and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not any(_answers(url) for url in hosts.values()):
        raise InputError(
            f"{where} and cannot be downloaded, {' and '.join(hosts)} cannot be reached: "
            "copy the prepared folder there from a machine with a network, or set data_dir to where it is"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # each data set's own code runs here and fails in its own way
        raise InputError(f"{where} and TensorFlow Datasets could not prepare it: {_one_line(error)}") from error


def _answers(url: str) -> bool:
    """Whether anything, be it an error, comes back from the server of this address."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def _folder_source(name: str, root: pathlib.Path) -> Source:
    expected = f"expected images as {root}/{_LAYOUT}"
    if not root.is_dir():
        raise InputError(f"data set {name!r}: no folder {root}; {expected}")
    splits = {split.name: {label.name: image_files(label) for label in _folders(split)} for split in _folders(root)}
    if not splits:
        raise InputError(f"data set {name!r}: {root} has no folders of splits; {expected}")
    for spelling, meant in _SPELLINGS.items():
        if spelling in splits and meant not in splits:
            splits[meant] = splits.pop(spelling)
    class_names = sorted(set().union(*splits.values()))
    for split, labels in splits.items():
        if not labels:
            raise InputError(f"data set {name!r}: {root / split} has no folders of classes; {expected}")
        missing = [label for label in class_names if label not in labels]
        if missing:
            raise InputError(f"data set {name!r}: split {split!r} lacks the classes {', '.join(missing)} that other splits have")
        for label, files in labels.items():
            if not files:
                raise InputError(f"data set {name!r}: {root / split / label} has no images; expected files {', '.join(IMAGE_SUFFIXES)}")
    read_files = {path for labels in splits.values() for files in labels.values() for path in files}
    left_out = tuple(str(path.relative_to(root)) for path in files_below(root) if path not in read_files)
    examples = {split: _shuffled(split, labels, class_names) for split, labels in splits.items()}

    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        paths, labels = zip(*examples[split][start:stop], strict=True)

        @tf.autograph.experimental.do_not_convert
        def load(path, label):
            return {"image": tf.io.read_file(path), "label": label, "name": path}

        files = tf.data.Dataset.from_tensor_slices((list(paths), tf.constant(labels, tf.int64)))
        return files.map(load, num_parallel_calls=8, deterministic=True)

    return Source(name, tuple(class_names), {split: len(rows) for split, rows in examples.items()}, read, is_folder=True, left_out=left_out)


def _shuffled(split: str, labels: Mapping[str, list[pathlib.Path]], class_names: list[str]) -> list[tuple[str, int]]:
    """(path, label) of each file, the classes mixed so that a slice has them all, in an order that depends only on the files' names."""
    rows = [(str(path), class_names.index(label)) for label in class_names for path in labels[label]]
    random.Random(split).shuffle(rows)
    return rows


def _folders(parent: pathlib.Path) -> list[pathlib.Path]:
    return sorted(child for child in parent.iterdir() if child.is_dir() and not child.name.startswith("."))
