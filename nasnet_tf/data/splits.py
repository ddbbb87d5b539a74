"""What "train", "validation" and "test" are of a data set: one convention for search, training, fine-tuning and evaluation.

What is trained on never validates. Of a folder, `validation` validates if it is there, else examples held out of `train`; `test` is looked
at by evaluation only.
"""

import dataclasses
import re

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Natural, conforms, expect
from nasnet_tf.data.sources import Source

_SHARE = re.compile(r"(\d|[1-9]\d)%")
_NAMED = 3  # of the files that are left out


def check_hold_out(owner: str, validation_split: str | None, validation_examples: int | str) -> None:
    """The two ways to say what validates; arguments as for Splits."""
    is_share = isinstance(validation_examples, str) and _SHARE.fullmatch(validation_examples) is not None
    expected = "an integer of 0 or more, or a share such as '10%'"
    expect(is_share or conforms(validation_examples, Natural), f"{owner}.validation_examples", expected, validation_examples)
    if validation_split is not None and validation_examples:
        raise InputError(
            f"{owner}: expected validation_split or validation_examples, not both; got {validation_split!r} and {validation_examples}"
        )


@dataclasses.dataclass(frozen=True)
class Splits:
    """The splits of a source as they are used; attributes as of ImageData.

    owner: the class that the splits were bound of, for messages.
    """

    owner: str
    source: Source
    train_split: str
    validation_split: str | None
    validation_examples: int | str
    test_split: str

    def find(self, split: str) -> str:
        """The split of the source, or the slice of one, that "train", "validation" or "test" means.

        Raises:
          InputError: there is none, or what validates is trained on.
        """
        if split == "test":
            return self._test()
        if split not in ("train", "validation"):
            raise InputError(f"unknown split {split!r}; expected 'train', 'validation' or 'test'")
        name, start, stop = self.source.bounds(self.train_split)
        validates = self._validation_split()
        if validates is not None:
            other, other_start, other_stop = self.source.bounds(validates)
            if other == name and other_start < stop and start < other_stop:
                raise InputError(
                    f"{self.owner}: validation_split {validates!r} shares examples with train_split {self.train_split!r}; "
                    "expected slices that do not overlap"
                )
            return self.train_split if split == "train" else validates
        border = stop - self._held_out()
        if border <= start:
            raise InputError(
                f"{self.owner}.validation_examples: expected fewer than the {stop - start} examples of {self.train_split!r}, "
                f"got {self.validation_examples}"
            )
        if split == "train":
            return f"{name}[{start}:{border}]"
        if border == stop:
            raise InputError(
                f"there is no validation split: bind {self.owner}.validation_split to a split of the data set, "
                f"or {self.owner}.validation_examples to the number of training examples to hold out"
            )
        return f"{name}[{border}:{stop}]"

    def share_examples(self, split: str, other: str) -> bool:
        """Whether two of "train", "validation" and "test" have examples in common; False where one of them is not there."""
        try:
            (name, start, stop), (other_name, other_start, other_stop) = (self.source.bounds(self.find(each)) for each in (split, other))
        except InputError:
            return False
        return name == other_name and start < other_stop and other_start < stop

    def summary(self) -> str:
        """What there is and how it is used, in one line for people."""
        left_out = self.source.left_out
        there = [f"{sum(self.source.splits.values())} images", f"{len(self.source.class_names)} classes"]
        if left_out:
            there.append(f"{len(left_out)} left out ({', '.join(left_out[:_NAMED])}{', ...' if len(left_out) > _NAMED else ''})")
        there += self.source.notes
        uses = []
        for split, verb in (("train", "trained on"), ("validation", "to validate"), ("test", "to test")):
            try:
                uses.append(f"{self.source.num_examples(self.find(split))} {verb}")
            except InputError:
                if split == "train":
                    raise
                uses.append(f"none {verb}")
        if self._validation_split() is None and self._held_out():
            uses[1] += f", held out of {self.train_split}"
        return f"{self.source.name}: {', '.join(there)}; {', '.join(uses)}"

    def _validation_split(self) -> str | None:
        """The split that validates; None where it is held out of train_split, if at all."""
        if self.validation_split is None and self.source.is_folder and "validation" in self.source.splits:
            return "validation"
        return self.validation_split

    def _held_out(self) -> int:
        if isinstance(self.validation_examples, str):
            return max(1, round(self.source.num_examples(self.train_split) * int(self.validation_examples[:-1]) / 100))
        return self.validation_examples

    def _test(self) -> str:
        """Of a folder that has a split `test` never the one that validates, whatever an older recipe says."""
        source = self.source
        if source.is_folder and "test" in source.splits and self.test_split == self._validation_split():
            return "test"
        if source.is_folder and self.test_split == "test" and "test" not in source.splits:
            raise InputError(
                f"data set {source.name!r} has no split 'test', only {', '.join(source.splits)}; make a split test "
                "beside it, or evaluate on validation, which chose the best checkpoint"
            )
        return self.test_split
