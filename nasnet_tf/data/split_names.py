"""What people and tools call the splits of a data set of files."""

from collections.abc import Mapping
from typing import Any

_SPLITS = ("train", "validation", "test")
_SPELLINGS = {"val": "validation", "valid": "validation", "default": "train"}  # the last is CVAT's


def our_name(split: str) -> str | None:
    """Returns which of `train`, `validation` and `test` a split is, whatever its spelling and its capital letters; None for others."""
    name = _SPELLINGS.get(split.lower(), split.lower())
    return name if name in _SPLITS else None


def with_our_names(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the same splits; what means `train`, `validation` or `test` is called so, unless another split is."""
    splits = dict(splits)
    for split in list(splits):
        meant = our_name(split)
        if meant is not None and meant not in splits:
            splits[meant] = splits.pop(split)
    return splits
