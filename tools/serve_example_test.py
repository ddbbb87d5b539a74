"""The example server answers a batch in which some pictures are bad."""

import io

import numpy as np
import serve_example
from fastapi.testclient import TestClient
from PIL import Image

from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.testing import tiny_genotype


def test_a_bad_picture_gets_its_own_error(tmp_path, monkeypatch):
    model = build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=4), 3, 8)
    description = {"class_names": ["a", "b", "c"], "preprocessing": {"kind": "imagenet", "image_size": 8}}
    export(model, description, tmp_path / "export", ["onnx"])
    client = TestClient(serve_example.make_app(serve_example.Server(tmp_path / "export", threads=1)))
    monkeypatch.setattr(serve_example, "MOST_PIXELS", 400)

    def png(side):
        file = io.BytesIO()
        Image.fromarray(np.full([side, side], 99, np.uint8)).save(file, "PNG")
        return file.getvalue()

    contents = {"good.png": png(10), "bad.png": b"nothing", "huge.png": png(21), "grey.png": png(20)}
    answer = client.post("/classify?top=2", files=[("files", (name, content)) for name, content in contents.items()])
    rows = {row["file"]: row for row in answer.json()}
    assert rows["bad.png"]["error"].startswith("cannot be decoded as an image")
    assert rows["huge.png"]["error"] == "image too large: 21 x 21 pixels; expected at most 400"
    for name in ("good.png", "grey.png"):
        assert [set(each) for each in rows[name]["top"]] == [{"class", "probability"}] * 2
    assert client.post("/classify", files=[("files", ("bad", b"x"))]).json()[0]["error"]
