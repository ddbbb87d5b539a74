"""Tests that the labels of a data set become those of a network with other classes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData, ImageNetPreprocessing, imagenet_classes
from nasnet_tf.serving.hub.relabelling import RelabelledData


def test_classes_are_found_by_name_words_or_wordnet_id(tmp_path):
    for name in ("n01443537", "n01440764"):
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(np.zeros([9, 9, 3], np.uint8)).save(tmp_path / "test" / name / "a.png")
    data = ImageData(f"folder:{tmp_path}", ImageNetPreprocessing(8), train_split="test")
    for network in (
        [words for _, words in imagenet_classes()],
        [identity for identity, _ in imagenet_classes()],
        ["n01440764", "n01443537"],
    ):
        ((_, labels, weights),) = RelabelledData(data, network).evaluation("test", 2)
        assert sorted(tf.boolean_mask(labels, weights > 0).numpy()) == [0, 1]
    assert RelabelledData(data, ["x", "n01443537", "y", "n01440764"])._labels() == [3, 1]
    with pytest.raises(InputError, match="the network lacks 2 of its 2 classes, such as 'n01440764'; the network has 'a', 'b'"):
        RelabelledData(data, ["a", "b"])._labels()
