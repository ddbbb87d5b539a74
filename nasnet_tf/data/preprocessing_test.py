"""Tests of the JSON form of preprocessings."""

import json

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import CifarPreprocessing, ImageNetPreprocessing, preprocessing_from_config


@pytest.mark.parametrize(
    "preprocessing",
    [
        CifarPreprocessing(image_size=8, flip=False, cutout_size=2),
        ImageNetPreprocessing(331, 0.9, area_range=(0.1, 0.9), aspect_ratio_range=(0.5, 2.0), distort_color=False, resize="tf1"),
    ],
)
def test_a_preprocessing_survives_json(preprocessing):
    assert preprocessing_from_config(json.loads(json.dumps(preprocessing.config()))) == preprocessing


def test_config_has_every_field_except_a_default_resize():
    assert CifarPreprocessing().config() == {"kind": "cifar", "image_size": 32, "upsample": 1.25, "flip": True, "cutout_size": 0}
    assert ImageNetPreprocessing().config()["area_range"] == [0.05, 1.0]
    # Work folders from before the field `resize` existed do not have it, so its default is not written.
    assert "resize" not in ImageNetPreprocessing().config()
    assert ImageNetPreprocessing(resize="tf1").config()["resize"] == "tf1"
    assert preprocessing_from_config({"kind": "imagenet", "image_size": 331}) == ImageNetPreprocessing(331)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "expected a 'kind' of cifar or imagenet, got None"),
        ({"kind": "mnist"}, "expected a 'kind' of cifar or imagenet, got 'mnist'"),
        (
            {"kind": "cifar", "central_fraction": 1},
            "'cifar': unknown field central_fraction; known fields are image_size, upsample, flip, cutout_size",
        ),
        ({"kind": "cifar", "image_size": "32"}, "image_size: expected an integer of 1 or more, got '32'"),
        ({"kind": "cifar", "image_size": 0}, "image_size: expected an integer of 1 or more, got 0"),
        ({"kind": "cifar", "image_size": 32.0}, "image_size: expected an integer of 1 or more, got 32.0"),
        ({"kind": "cifar", "upsample": 0.5}, "CifarPreprocessing.upsample: expected a factor of 1 or more, got 0.5"),
        ({"kind": "cifar", "cutout_size": -1}, "cutout_size: expected an integer of 0 or more, got -1"),
        ({"kind": "cifar", "cutout_size": True}, "cutout_size: expected an integer of 0 or more, got True"),
        ({"kind": "cifar", "flip": 1}, "flip: expected True or False, got 1"),
        ({"kind": "imagenet", "image_size": -5}, "image_size: expected an integer of 1 or more, got -5"),
        ({"kind": "imagenet", "central_fraction": 0}, r"central_fraction: expected a number in \(0, 1\], got 0"),
        ({"kind": "imagenet", "central_fraction": 87.5}, r"central_fraction: .* got 87.5"),
        (
            {"kind": "imagenet", "area_range": (0.5, 0.1)},
            r"area_range: expected two numbers, 0 < minimum <= maximum <= 1, got \(0.5, 0.1\)",
        ),
        ({"kind": "imagenet", "area_range": (0.1, 1.1)}, "area_range: "),
        ({"kind": "imagenet", "area_range": 0.5}, "area_range: "),
        (
            {"kind": "imagenet", "aspect_ratio_range": (0, 1)},
            r"aspect_ratio_range: expected two numbers, 0 < minimum <= maximum, got \(0, 1\)",
        ),
        ({"kind": "imagenet", "distort_color": "fast"}, "distort_color: expected True or False, got 'fast'"),
    ],
)
def test_invalid_configs_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        preprocessing_from_config(config)
