"""Checks the tools that measure and serve an export: each format has a row, and a bad image does not affect its batch."""

import numpy as np
import serve_example
import serving_speed
from fastapi.testclient import TestClient

from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.testing import png, tiny_genotype


def exported(folder, *formats):
    model = build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=4), 3, 8)
    description = {"class_names": ["a", "b", "c"], "preprocessing": {"kind": "imagenet", "image_size": 8}}
    export(model, description, folder / "export", list(formats))
    return folder / "export"


def test_each_format_has_a_row(tmp_path):
    images = np.random.default_rng(0).random([6, 8, 8, 3], np.float32)
    formats = serving_speed.openers(exported(tmp_path, "keras", "serving"), reference=False)
    rows = serving_speed.measure(formats, images, rounds=9, batch=4)
    assert [row["format"] for row in rows] == ["serving", "keras"]
    for row in rows:
        assert row["agreement"] == 1
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["mb"] > 0 < row["images_per_second_at_4"]


def test_a_bad_image_gets_its_own_error(tmp_path, monkeypatch):
    client = TestClient(serve_example.make_app(serve_example.Server(exported(tmp_path, "onnx"), threads=1)))
    monkeypatch.setattr(serve_example, "MAX_PIXELS", 400)
    sides = {"good.png": 10, "huge.png": 21, "grey.png": 20}
    contents = {name: png(np.full([side, side, 1], 99)) for name, side in sides.items()} | {"bad.png": b"nothing"}
    answer = client.post("/classify?top=2", files=[("files", (name, content)) for name, content in contents.items()])
    rows = {row["file"]: row for row in answer.json()}
    assert rows["bad.png"]["error"].startswith("cannot be decoded as an image")
    assert rows["huge.png"]["error"] == "image too large: 21 x 21 pixels; expected at most 400"
    for name in ("good.png", "grey.png"):
        assert [set(each) for each in rows[name]["top"]] == [{"class", "probability"}] * 2
    assert client.post("/classify", files=[("files", ("bad", b"x"))]).json()[0]["error"]
