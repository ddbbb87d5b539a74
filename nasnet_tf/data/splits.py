"""Decides which examples are "train", "validation" and "test": one convention for search, training, fine-tuning and evaluation.

Examples for training are never used for validation. In a folder, the split `validation` is used if it exists, else examples held out of
`train`. Only evaluation uses `test`.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Self

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Natural, check_fields, conforms, expect
from nasnet_tf.data.sources import Source

_SHARE = re.compile(r"(\d|[1-9]\d)%")
_MAX_NAMED = 3  # number of left out files that the summary names


class DividedData:
    """Base class of ImageData and DetectionData: a data set and how it is divided into splits.

    A subclass is a dataclass with these fields, which ImageData documents, and with `_source` as a cached property.
    """

    train_split: str
    validation_split: str | None
    validation_examples: int | str
    test_split: str
    _source: Source

    def __post_init__(self):
        check_fields(self)
        held_out, owner = self.validation_examples, type(self).__name__
        is_share = isinstance(held_out, str) and _SHARE.fullmatch(held_out) is not None
        expected = "an integer of 0 or more, or a percentage such as '10%'"
        expect(is_share or conforms(held_out, Natural), f"{owner}.validation_examples", expected, held_out)
        if self.validation_split is not None and held_out:
            raise InputError(
                f"{owner}: expected validation_split or validation_examples, not both; got {self.validation_split!r} and {held_out}"
            )

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # without the opened source

    @classmethod
    def from_description(cls, description: Mapping) -> Self:
        """Returns the data that the method `description` described. Other keys of the description are ignored."""
        return cls(**{field.name: description[field.name] for field in dataclasses.fields(cls) if field.name in description})

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""
        return self._source.class_names

    @property
    def num_classes(self) -> int:
        """The number of classes; labels are 0..num_classes - 1."""
        return len(self.class_names)

    @property
    def num_train_examples(self) -> int:
        """The number of examples in an epoch, without the hold-out."""
        return self.num_examples("train")

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of "train", "validation" or "test"."""
        _, start, stop = self._bounds(split)
        return stop - start

    @property
    def has_test(self) -> bool:
        """Whether there is a test split; False if test_split is "test" and the data set has no split of this name."""
        return self.test_split != "test" or "test" in self._source.splits

    def share_examples(self, split: str, other: str) -> bool:
        """Returns whether two of "train", "validation" and "test" have examples in common; False if one of them does not exist."""
        try:
            (name, start, stop), (other_name, other_start, other_stop) = self._bounds(split), self._bounds(other)
        except InputError:
            return False
        return name == other_name and start < other_stop and other_start < stop

    def _bounds(self, split: str) -> tuple[str, int, int]:
        """Returns (split of the source, start, stop) of "train", "validation" or "test"."""
        return self._source.bounds(self._slice(split))

    def _slice(self, split: str) -> str:
        """Returns the source's split, or the slice of one, for "train", "validation" or "test"."""
        return self._find(split)

    def _find(self, split: str) -> str:
        """Returns what `_slice` returns, but prints nothing.

        Raises:
          InputError: the split does not exist, or training and validation share examples.
        """
        if split == "test":
            return self._test()
        if split not in ("train", "validation"):
            raise InputError(f"unknown split {split!r}; expected 'train', 'validation' or 'test'")
        name, start, stop = self._source.bounds(self.train_split)
        validates = self._validation_split()
        if validates is not None:
            other, other_start, other_stop = self._source.bounds(validates)
            if other == name and other_start < stop and start < other_stop:
                raise InputError(
                    f"{type(self).__name__}: validation_split {validates!r} shares examples with train_split {self.train_split!r}; "
                    "expected slices that do not overlap"
                )
            return self.train_split if split == "train" else validates
        border = stop - self._held_out()
        if border <= start:
            raise InputError(
                f"{type(self).__name__}.validation_examples: expected fewer than the {stop - start} examples of {self.train_split!r}, "
                f"got {self.validation_examples}"
            )
        if split == "train":
            return f"{name}[{start}:{border}]"
        if border == stop:
            raise InputError(
                f"there is no validation split: bind {type(self).__name__}.validation_split to a split of the data set, "
                f"or {type(self).__name__}.validation_examples to the number of training examples to hold out"
            )
        return f"{name}[{border}:{stop}]"

    @functools.cached_property
    def _summary(self) -> str:
        """A line for the user: the size of the data set and the use of its examples."""
        left_out = self._source.left_out
        there = [f"{sum(self._source.splits.values())} images", f"{len(self._source.class_names)} classes"]
        if left_out:
            there.append(f"{len(left_out)} left out ({', '.join(left_out[:_MAX_NAMED])}{', ...' if len(left_out) > _MAX_NAMED else ''})")
        there += self._source.notes
        uses = []
        for split, use in (("train", "for training"), ("validation", "for validation"), ("test", "for testing")):
            try:
                uses.append(f"{self._source.num_examples(self._find(split))} {use}")
            except InputError:
                if split == "train":
                    raise
                uses.append(f"none {use}")
        if self._is_held_out():
            uses[1] += f" (held out of {self.train_split})"
        return f"{self._source.name}: {', '.join(there)}; {', '.join(uses)}"

    def _validation_split(self) -> str | None:
        """Returns the split for validation; None if the validation examples are held out of train_split, or if there are none."""
        if self.validation_split is None and self._source.is_folder and "validation" in self._source.splits:
            return "validation"
        return self.validation_split

    def _is_held_out(self) -> bool:
        """Returns whether the validation examples are held out of train_split."""
        return self._validation_split() is None and self._held_out() > 0

    def _held_out(self) -> int:
        if isinstance(self.validation_examples, str):
            return max(1, round(self._source.num_examples(self.train_split) * int(self.validation_examples[:-1]) / 100))
        return self.validation_examples

    def _test(self) -> str:
        """Returns the split for testing. In a folder, `test` replaces a test_split that is the validation split, as in older recipes."""
        source = self._source
        if source.is_folder and "test" in source.splits and self.test_split == self._validation_split():
            return "test"
        if source.is_folder and self.test_split == "test" and "test" not in source.splits:
            raise InputError(
                f"data set {source.name!r} has no split 'test', only {', '.join(source.splits)}; add a split 'test', "
                "or evaluate on validation, which chose the best checkpoint"
            )
        return self.test_split
