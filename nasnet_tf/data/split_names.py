"""Translates the names that people and tools give to splits into `train`, `validation` and `test`."""

from collections.abc import Mapping
from typing import Any

_SPLITS = ("train", "validation", "test")
_SPELLINGS = {"val": "validation", "valid": "validation", "default": "train"}  # CVAT writes "default"


def our_name(split: str) -> str | None:
    """Returns `train`, `validation` or `test` for the name of a split in any spelling and case; None for other names."""
    name = _SPELLINGS.get(split.lower(), split.lower())
    return name if name in _SPLITS else None


def with_our_names(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the splits with spellings of `train`, `validation` and `test` replaced by these names, unless another split has the name."""
    splits = dict(splits)
    for split in list(splits):
        meant = our_name(split)
        if meant is not None and meant not in splits:
            splits[meant] = splits.pop(split)
    return splits
