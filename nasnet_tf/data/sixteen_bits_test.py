"""16-bit PNGs with 12-bit data: the level that counts as white is printed, and can be bound."""

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageData, ImageNetPreprocessing, preprocessing_from_config
from nasnet_tf.data.sixteen_bits import white_note

LEVELS = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8, 1)
TWELVE = tf.io.encode_png(LEVELS).numpy()
EIGHT = tf.io.encode_png((LEVELS // 16).astype(np.uint8)).numpy()


@pytest.mark.parametrize("kind", [CifarPreprocessing, ImageNetPreprocessing])
def test_levels_are_scaled_so_that_the_white_level_becomes_one(kind):
    preprocessing = kind(8, white_level=4095) if kind is CifarPreprocessing else kind(8, central_fraction=1.0, white_level=4095)
    view = preprocessing.view(TWELVE).numpy()
    np.testing.assert_allclose(view[..., 0], LEVELS[..., 0] / 4095, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(
        preprocessing.view(EIGHT), kind(8, **({} if kind is CifarPreprocessing else {"central_fraction": 1.0})).view(EIGHT)
    )
    assert preprocessing_from_config(preprocessing.config()) == preprocessing
    assert "white_level" not in kind(8).config()
    assert kind(8).view(TWELVE).numpy().max() < 16 / 255
    assert preprocessing.train(TWELVE, tf.constant([1, 2], tf.int64)).shape == (8, 8, 3)
    with pytest.raises(InputError, match="white_level: expected an integer from 1 to 65535"):
        kind(8, white_level=0)


def test_the_assumed_white_level_is_printed(tmp_path, capsys):
    for name in ("train/a/1.png", "train/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(TWELVE)
    assert ImageData(f"folder:{tmp_path}", CifarPreprocessing(8)).num_train_examples == 2
    note = "16-bit PNGs: level 65535 counts as white, and the highest level in the first images is 4095; if another level means white"
    assert note in capsys.readouterr().err
    assert white_note([EIGHT, b"none", TWELVE[:60]], 65535) is None
    assert white_note([TWELVE], 4095) == "16-bit PNGs: level 4095 counts as white, and the highest level in the first images is 4095"
