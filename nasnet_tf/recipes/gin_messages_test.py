"""Checks that the parsed error messages are those that the installed version of gin gives."""

import pathlib

import gin
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.recipes import gin_messages, reading, table

table.load()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TrainingConfg.seed = 1", r"x.gin, line 1: TrainingConfg.seed = 1: No configurable matching.*; did you mean TrainingConfig\?"),
        ("\ntrain.data = @ImageDat()", r"x.gin, line 2: .*No configurable matching.*did you mean ImageData\?"),
        ("TrainingConfig.sed = 1", r"x.gin, line 1: .*doesn't have a parameter named 'sed'.*; did you mean seed\?"),
        ("RandomSearch.qqqqqq = 1", r"x.gin, line 1: .*; it has space, seed$"),
        ("TrainingConfig.seed = (1", r"x.gin: .*EOF in multi-line statement"),
    ],
)
def test_a_message_about_a_mistake_begins_with_its_place(text, expected):
    with pytest.raises(InputError, match=expected) as caught:
        reading.parse_recipe([(pathlib.Path("x.gin"), text)])
    assert "\n" not in str(caught.value)


def test_an_unbound_macro_is_named():
    gin.parse_config("TrainingConfig.seed = %nothing")
    with pytest.raises(ValueError, match="nothing") as caught:
        gin.finalize()
    assert gin_messages.unbound_macro(caught.value) == "nothing"
    assert gin_messages.unbound_macro(ValueError("another")) is None


def test_missing_bindings_are_named():
    with pytest.raises(TypeError) as caught:
        gin.get_configurable("nasnet_tf.TrainingConfig")()
    assert gin_messages.missing_bindings(caught.value) == ["TrainingConfig.batch_size", "TrainingConfig.epochs"]
    assert gin_messages.missing_bindings(TypeError("another")) is None


def test_call_sites_are_left_out():
    gin.parse_config("TrainingConfig.epochs = 0\nTrainingConfig.batch_size = 1")
    with pytest.raises(ValueError, match="In call to configurable 'TrainingConfig'") as caught:
        gin.get_configurable("nasnet_tf.TrainingConfig")()
    assert gin_messages.without_call_sites(caught.value) == "TrainingConfig.epochs: expected a positive number, got 0"
