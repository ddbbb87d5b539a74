"""Every format of an export is measured, and agrees."""

import numpy as np
import serving_speed

from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.testing import tiny_genotype


def test_each_format_has_a_row(tmp_path):
    model = build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=4), 3, 8)
    description = {"class_names": ["a", "b", "c"], "preprocessing": {"kind": "imagenet", "image_size": 8}}
    export(model, description, tmp_path / "export", ["keras", "serving"])
    images = np.random.default_rng(0).random([6, 8, 8, 3], np.float32)
    rows = serving_speed.measure(serving_speed.openers(tmp_path / "export", reference=False), images, rounds=9, batch=4)
    assert [row["format"] for row in rows] == ["serving", "keras"]
    for row in rows:
        assert row["agreement"] == 1
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["mb"] > 0 < row["images_per_second_at_4"]
