"""Evaluation on a data set that a network was not trained with: its classes by name among the network's."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData, imagenet_classes
from nasnet_tf.data.several_labels import MultiLabelData


@dataclasses.dataclass(frozen=True)
class RelabelledData:
    """A data set as an evaluator asks for it, with labels that are the network's.

    Attributes:
      data: prepared as the network's images are.
      class_names: the network's. ImageNet's may be WordNet ids on one side and words on the other.
    """

    data: ImageData
    class_names: Sequence[str]

    @property
    def num_classes(self) -> int:
        """Of the network."""
        return len(self.class_names)

    def num_examples(self, split: str) -> int:
        """Of "train", "validation" or "test"."""
        return self.data.num_examples(split)

    def diagnose(self, split: str) -> InputError | None:
        """See ImageData.diagnose."""
        return self.data.diagnose(split)

    def evaluation(self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """See ImageData.evaluation.

        Raises:
          InputError: a class that the network does not have.
        """
        labels = tf.constant(self._labels())
        batches = self.data.evaluation(split, batch_size, shard)
        if isinstance(self.data, MultiLabelData):
            chosen = tf.one_hot(labels, self.num_classes, dtype=tf.int32)
            return batches.map(lambda images, old, weights: (images, old @ chosen, weights))
        return batches.map(lambda images, old, weights: (images, tf.gather(labels, old), weights))

    def _labels(self) -> list[int]:
        names = list(self.class_names)
        if names == list(self.data.class_names):
            return list(range(len(names)))
        words = [word for _, word in imagenet_classes()]
        ids = [identity for identity, _ in imagenet_classes()]
        known = {name: index for index, name in enumerate(names) if names.count(name) == 1}
        if names == words:
            known |= {identity: index for index, identity in enumerate(ids)}
        elif names == ids:
            known |= {word: index for index, word in enumerate(words) if words.count(word) == 1}
        missing = [name for name in self.data.class_names if name not in known]
        if missing:
            raise InputError(
                f"data set {self.data.source!r}: {len(missing)} of its {len(self.data.class_names)} classes are none of the network's, "
                f"such as {missing[0]!r}; the network has {', '.join(map(repr, names[:3]))}, ..."
            )
        return [known[name] for name in self.data.class_names]
