"""Writes examples in the prepared form of TensorFlow Datasets (TFDS), under a name that contains their digest."""

import contextlib
import dataclasses
import hashlib
import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.files import make_folder, sync_folder
from nasnet_tf.data.given import Examples
from nasnet_tf.data.records import TFRecords

tfds = OnDemand("tensorflow_datasets")

_PREFIX, _VERSION = "prepared_", "1.0.0"
_INCOMPLETE = ".prepared_incomplete"
_DIGITS = 16  # number of the digest's digits in the name
_MAX_NAMED = 5  # number of unexpected classes that a message names


def prepare(folder: pathlib.Path, splits: Mapping[str, Examples], may_replace: bool, min_classes: int = 2) -> str:
    """Writes splits, unless they are already there, and returns the name by which `open_source(name, folder)` opens them.

    The name contains a digest of all images and labels, which does not depend on their order. Records are in the order of their digests,
    which mixes the classes. An interrupted call leaves no data that `open_source` could open.

    Args:
      folder: folder of prepared data; created if it is missing.
      splits: examples of each split; `train` is one of them.
      may_replace: whether other data that was prepared in the folder may be removed.
      min_classes: minimum number of classes.

    Raises:
      InputError: the folder has other data that may not be replaced, `train` lacks a class, or the examples are invalid.
    """
    others = [path for path in sorted(folder.glob(f"{_PREFIX}*")) if _is_prepared(path)]
    if others:
        found = {}
        for split, examples in splits.items():
            digests, labels, num_classes = [], [], 0
            for chunk in examples.chunks():
                digests += chunk.digests()
                labels += chunk.labels
                num_classes = max(num_classes, chunk.num_classes)
            found[split] = digests, _kind(labels, num_classes)
        name = _name(splits, found)
        if folder / name in others:
            return name
        if not may_replace:
            called = " and ".join(examples.name for examples in splits.values())
            raise InputError(
                f"{called}: the images or labels are not those that {folder.parent} was begun with "
                f"(expected {others[0].name}, got {name}); pass the same data, or use another work folder "
                "(a pipeline that augments images gives different images each time)"
            )
    make_folder(folder)
    temporary = folder / _INCOMPLETE
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        called = splits["train"].class_names
        staged = {split: _stage(temporary / split, examples, examples.class_names or called) for split, examples in splits.items()}
        name = _name(splits, {split: (part.digests, part.kind) for split, part in staged.items()})
        _write(temporary / name / _VERSION, name, staged, min_classes)
        for other in others:
            shutil.rmtree(other)
        (temporary / name).replace(folder / name)
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is still empty
    return name


@dataclasses.dataclass(frozen=True)
class _Staged:
    """A split whose images are on disk, in the order of the examples.

    Attributes:
      file: a TFRecord file of encoded images.
      name: name of the examples in messages.
      digests: digest of each example.
      kind: see `_kind`.
      labels: name of the class of each example.
      class_names: names of all classes, in the order of the labels.
    """

    file: pathlib.Path
    name: str
    digests: list[bytes]
    kind: str
    labels: list[str]
    class_names: list[str]


def _is_prepared(folder: pathlib.Path) -> bool:
    """Returns whether `prepare` has written the folder: a work folder may hold folders of its owner with any names."""
    is_name = re.fullmatch(f"{_PREFIX}[0-9a-f]{{{_DIGITS}}}", folder.name) is not None
    return is_name and (folder / _VERSION / "dataset_info.json").is_file()


def _kind(labels: Sequence[int] | Sequence[str], num_classes: int) -> str:
    """Returns what the digests of examples do not tell about the classes: spare ones of one-hot labels, or that digits are names."""
    if not labels:
        return ""
    if isinstance(labels[0], str):
        return "names " if all(map(str.isdecimal, labels)) else ""
    return f"{num_classes} classes " if num_classes > 1 + max(labels) else ""


def _name(splits: Mapping[str, Examples], found: Mapping[str, tuple[Sequence[bytes], str]]) -> str:
    """Returns the name of the data, from the (digests, kind) of each split."""
    whole = hashlib.sha256()
    for split, (digests, kind) in found.items():
        whole.update(f"{split} {len(digests)} {kind}{splits[split].class_names}\n".encode() + b"".join(sorted(digests)))
    return _PREFIX + whole.hexdigest()[:_DIGITS]


def _stage(file: pathlib.Path, examples: Examples, class_names: Sequence[str] | None) -> _Staged:
    """Writes the images of a split to a file and collects the rest, in one pass over the examples.

    Args:
      class_names: names of the labels 0, 1, ...; None for "0", "1", ... or, if the labels are names, for these in sorted order.
    """
    make_folder(file.parent)
    digests, labels, num_classes = [], [], 0
    with tf.io.TFRecordWriter(str(file)) as writer:
        for chunk in examples.chunks():
            for image in chunk.encoded():
                writer.write(image)
            digests += chunk.digests()
            labels += chunk.labels
            num_classes = max(num_classes, chunk.num_classes)
    if not labels:
        raise InputError(f"{examples.name}: expected images with labels, got none")
    names = class_names or ([str(number) for number in range(num_classes)] if num_classes else sorted(set(labels)))
    if num_classes > len(names):
        raise InputError(f"{examples.name}: expected labels below {len(names)}, the number of class names; got {num_classes - 1}")
    texts = [names[label] if isinstance(label, int) else label for label in labels]
    return _Staged(file, examples.name, digests, _kind(labels, num_classes), texts, list(names))


def _write(folder: pathlib.Path, name: str, staged: Mapping[str, _Staged], min_classes: int) -> None:
    train = staged["train"]
    for split, part in staged.items():
        if lacking := sorted(set(part.labels) - set(train.labels)):
            raise InputError(f"{part.name}: expected only classes of {train.name}, got also {', '.join(lacking[:_MAX_NAMED])} in {split}")
    class_names = max((part.class_names for part in staged.values()), key=len)  # one-hot labels may have more classes than occur
    if len(class_names) < min_classes:
        raise InputError(f"{train.name}: expected {min_classes} classes or more, got only {class_names[0]}")
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(None, None, None)), "label": tfds.features.ClassLabel(names=class_names)}
    )
    folder.mkdir(parents=True)
    template = tfds.core.ShardedFileTemplate(folder, dataset_name=name, filetype_suffix="tfrecord")
    infos = []
    for split, part in staged.items():
        num_bytes = _write_split(str(folder / f"{name}-{split}.tfrecord-00000-of-00001"), part, class_names)
        filename_template = template.replace(split=split)
        infos.append(
            tfds.core.SplitInfo(name=split, shard_lengths=[len(part.labels)], num_bytes=num_bytes, filename_template=filename_template)
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=infos,
        version=_VERSION,
        check_data=False,
        description="Images and labels that were passed from Python.",
        supervised_keys=("image", "label"),
    )


def _write_split(path: str, part: _Staged, class_names: Sequence[str]) -> int:
    """Writes the examples of a split in the order of their digests; returns the number of bytes."""
    numbers = {label: number for number, label in enumerate(class_names)}
    images, num_bytes = TFRecords([(str(part.file), len(part.labels))]), 0
    with tf.io.TFRecordWriter(path) as writer:
        for place in sorted(range(len(part.digests)), key=part.digests.__getitem__):
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.extend(images.read(np.array([place])))
            example.features.feature["label"].int64_list.value.append(numbers[part.labels[place]])
            record = example.SerializeToString(deterministic=True)
            writer.write(record)
            num_bytes += len(record)
    return num_bytes
