"""Matches the classes of data sets and networks by name, to evaluate on other data and to keep a classifier in fine-tuning."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData, imagenet_classes
from nasnet_tf.data.several_labels import MultiLabelData


@dataclasses.dataclass(frozen=True)
class RelabelledData:
    """A data set to evaluate on, with its labels changed to those of the network.

    Attributes:
      data: data set with images prepared as the network takes them.
      class_names: names of the network's classes; matched with those of the data by `places_of`.
    """

    data: ImageData
    class_names: Sequence[str]

    @property
    def num_classes(self) -> int:
        """Number of classes of the network."""
        return len(self.class_names)

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of "train", "validation" or "test"."""
        return self.data.num_examples(split)

    def diagnose(self, split: str) -> InputError | None:
        """See ImageData.diagnose."""
        return self.data.diagnose(split)

    def pictures(self, split: str, places: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        """See ImageData.pictures."""
        return self.data.pictures(split, places)

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """See ImageData.evaluation.

        Raises:
          InputError: the network lacks a class.
        """
        labels = tf.constant(self._labels())
        batches = self.data.evaluation(split, batch_size, shard)
        if isinstance(self.data, MultiLabelData):
            chosen = tf.one_hot(labels, self.num_classes, dtype=tf.int32)
            return batches.map(lambda images, old, weights: (images, old @ chosen, weights))
        return batches.map(lambda images, old, weights: (images, tf.gather(labels, old), weights))

    def _labels(self) -> list[int]:
        places = places_of(self.data.class_names, self.class_names)
        missing = [name for name, place in zip(self.data.class_names, places, strict=True) if place is None]
        if missing:
            raise InputError(
                f"data set {self.data.source!r}: the network lacks {len(missing)} of its {len(self.data.class_names)} classes, "
                f"such as {missing[0]!r}; the network has {', '.join(map(repr, list(self.class_names)[:3]))}, ..."
            )
        return [place for place in places if place is not None]


def places_of(wanted: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """Returns the index of each wanted class name among a network's names; None for a name that is missing or occurs twice.

    If one of the two names ImageNet's classes by WordNet id and the other by words, they match all the same.
    """
    wanted, names = list(wanted), list(names)
    if wanted == names:
        return list(range(len(names)))
    words = [word for _, word in imagenet_classes()]
    ids = [identity for identity, _ in imagenet_classes()]
    known = {name: index for index, name in enumerate(names) if names.count(name) == 1}
    if names == words:
        known |= {identity: index for index, identity in enumerate(ids)}
    elif names == ids:
        known |= {word: index for index, word in enumerate(words) if words.count(word) == 1}
    return [known.get(name) for name in wanted]


def difference(wanted: Sequence[str] | None, names: Sequence[str] | None) -> str | None:
    """Returns why a classifier does not have the wanted classes; None if it has them. Unknown names are passed as None."""
    if names is None:
        return "the names of its classes are not known"
    if wanted is None:
        return "the names of the classes to train are not known"
    places = places_of(wanted, names)
    if None in places:
        return f"it has no class {wanted[places.index(None)]!r}"
    others = sorted({*range(len(names))} - {*places})
    return f"its class {names[others[0]]!r} is not among those to train" if others else None
