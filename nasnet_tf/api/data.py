"""Turns the data that a caller passes into bindings of a recipe. Arrays and pipelines are first written into the work folder."""

import dataclasses
import numbers
import pathlib
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData, given, open_source
from nasnet_tf.data.sources import Source
from nasnet_tf.data.writing import prepare
from nasnet_tf.recipes import shorthand

# gin scopes by kind of work; a recipe's retraining may have its own splits
_SCOPES = {"search": ("", shorthand.RETRAIN), "training": ("",)}
FOLDER = "data"  # in the work folder, for prepared data
_EXPECTED = "(images, labels), a tf.data.Dataset, 'folder:PATH', 'table:FILE', the name of a data set or an ImageData"


def data_bindings(data: Any, validation: Any, workdir: pathlib.Path, kind: str, test: Any = None) -> dict[str, Any]:
    """Returns the bindings that make a recipe use these data; data without a name are written into the work folder, once.

    Args:
      data: training data: (images, labels) as for nasnet_tf.data.given.of_arrays; a tf.data.Dataset as for of_dataset; the name of a data
        set as for open_source; or an ImageData, whose preprocessing is used too.
      validation: data to choose by, of the same kinds; a name means its split `validation` if it has one, else its `train`. Or a fraction
        of `data` to hold out, in whole percents. None for the split `validation` of a folder, the splits of an ImageData, or else a tenth.
      workdir: work folder; arrays and pipelines are written into its folder `data`. Once the work folder holds a reward or a
        checkpoint, they may not change.
      kind: kind of work, "search" or "training".
      test: data to measure the end result on, of the same kinds. None for the split `test` of a name; arrays and pipelines then have none.

    Raises:
      InputError: the data are of another kind or differ from those that the work folder was begun with, or other splits have classes that
        the training data lack.
    """
    scopes = _SCOPES[kind]
    check_data(data, "data")
    share = None if validation is None else _share(validation)
    others = {"validation": None if share else validation, "test": test}
    for name, other in others.items():
        if other is not None:
            check_data(other, name)
    if isinstance(data, (str, ImageData)) and not any(other is not None for other in others.values()):
        return _of_name(data, share, scopes)
    splits = {"train": _examples(data, "data", "train")}
    splits |= {name: _examples(other, name, name, data) for name, other in others.items() if other is not None}
    if isinstance(data, (str, ImageData)):
        splits |= _further_splits(data, splits, keeps_validation=share is None)
    with work_folders.at_work(workdir, kind):
        name = prepare(workdir / FOLDER, splits, may_replace=not work_folders.has_saved(workdir))
    values = {"ImageData.source": name, "ImageData.data_dir": str((workdir / FOLDER).absolute())}
    held_out = 0 if "validation" in splits else share or shorthand.HELD_OUT
    chosen = {"train_split": "train", "validation_split": "validation" if "validation" in splits else None}
    chosen |= {"validation_examples": held_out, "test_split": "test"}
    values |= {f"{scope}ImageData.{field}": value for scope in scopes for field, value in chosen.items()}
    return values | (_preprocessing(data) if isinstance(data, ImageData) else {})


def check_bindings(bindings: Collection[str]) -> None:
    """Raises InputError if a caller's bindings would replace the data that the caller passes."""
    if wrong := next((name for name in bindings if name.endswith("ImageData.source")), None):
        raise InputError(f"bindings: expected no {wrong!r}, because the argument `data` sets it; remove this binding")


def check_data(data: Any, name: str) -> None:
    """Raises InputError if an argument is not of a known kind of data; name: name of the argument."""
    if isinstance(data, (str, tf.data.Dataset)) or type(data) is ImageData:
        return
    if isinstance(data, (tuple, list)) and len(data) == 2:
        if all(isinstance(part, (tuple, list)) and len(part) == 2 and hasattr(part[0], "shape") for part in data):
            raise InputError(f"{name}: expected (images, labels), got two such pairs, as load_data() returns them; pass one pair")
        return
    got = f"{len(data)} values" if isinstance(data, (tuple, list)) else type(data).__name__
    raise InputError(f"{name}: expected {_EXPECTED}; got {got}")


def _share(validation: Any) -> str | None:
    """Returns a fraction as ImageData.validation_examples takes it; None for data."""
    if isinstance(validation, bool) or not isinstance(validation, numbers.Real):
        return None
    percent = round(100 * validation)
    if not 1 <= percent <= 99 or abs(percent - 100 * validation) > 1e-6:
        raise InputError(f"validation: expected a fraction of the data from 0.01 to 0.99, in whole percents, or data; got {validation!r}")
    return f"{percent}%"


def _of_name(data: str | ImageData, share: str | None, scopes: Collection[str]) -> dict[str, Any]:
    """Returns the bindings for a data set that has a name."""
    if share and (source := _opened(data)).is_folder and "validation" in source.splits:
        raise InputError(f"validation: {source.name} has a split 'validation', which is used; leave out the fraction {share}")
    if isinstance(data, str):
        values = shorthand.data_bindings(data, scopes)
        return values | ({f"{scope}ImageData.validation_examples": share for scope in scopes} if share else {})
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data) if field.name != "preprocessing"}
    if share or (data.validation_split is None and not data.validation_examples):
        fields |= {"validation_split": None, "validation_examples": share or shorthand.HELD_OUT}
    return {f"{scope}ImageData.{name}": value for scope in scopes for name, value in fields.items()} | _preprocessing(data)


def _preprocessing(data: ImageData) -> dict[str, Any]:
    kind = type(data.preprocessing).__name__
    fields = {f"{kind}.{field.name}": getattr(data.preprocessing, field.name) for field in dataclasses.fields(data.preprocessing)}
    return {"ImageData.preprocessing": f"@{kind}()"} | fields


def _opened(data: str | ImageData) -> Source:
    return open_source(data) if isinstance(data, str) else open_source(data.source, data.data_dir)


def _examples(data: Any, name: str, split: str, training: Any = None) -> given.Examples:
    """Returns the examples of one split; training: the training data, which must not be the same split of the same data set."""
    if isinstance(data, tf.data.Dataset):
        return given.of_dataset(name, data)
    if not isinstance(data, (str, ImageData)):
        return given.of_arrays(name, *data)
    place = _place(data, split)
    if isinstance(training, (str, ImageData)) and _place(training, "train") == place:
        raise InputError(f"{name}: {place[0]} has no split {split!r}, and its {place[1]} is for training; pass a fraction or other data")
    return given.of_source(_opened(data), place[1])


def _place(data: str | ImageData, split: str) -> tuple[str, str]:
    """Returns (name of the data set, its split or a slice of it) for data that are passed as a split."""
    if isinstance(data, ImageData):
        return data.source, data.train_split
    return data, split if split in _opened(data).splits else "train"


def _further_splits(data: str | ImageData, known: Collection[str], keeps_validation: bool) -> dict[str, given.Examples]:
    """Returns the other splits of a data set that is copied, so that none is lost."""
    source = _opened(data)
    wanted = {"test": getattr(data, "test_split", "test")}
    wanted |= {"validation": getattr(data, "validation_split", None) or "validation"} if keeps_validation else {}
    there = {name: split for name, split in wanted.items() if name not in known and split.split("[")[0] in source.splits}
    return {name: given.of_source(source, split) for name, split in there.items()}
