"""Tests that code in a malicious file does not run unless it is trusted, and that no such file fills memory or disk."""

import io
import json
import shutil
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base import files
from nasnet_tf.base.errors import InputError
from nasnet_tf.serving.exports import manifest, saved_model
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights.convert import load_weights


def test_the_graph_of_an_export_is_not_run_unless_trusted(tiny_export, tmp_path):
    evil, secret, stolen = tmp_path / "evil", tmp_path / "secret", tmp_path / "stolen"
    shutil.copytree(tiny_export, evil)
    (evil / manifest.NAME).unlink()  # as an attacker who changes the graph would
    secret.write_text("s3cret")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "encoded")])
    def classify_encoded(encoded):
        tf.io.write_file(str(stolen), tf.io.read_file(str(secret)))
        return {"probabilities": tf.ones([tf.shape(encoded)[0], 10]) / 10}

    tf.saved_model.save(tf.Module(), str(tmp_path / "graph"), signatures={"classify_encoded": classify_encoded})
    shutil.copy(tmp_path / "graph" / "saved_model.pb", evil)
    picture = tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)).numpy()
    expected = load_classifier(tiny_export).probabilities([picture])[0]
    np.testing.assert_allclose(load_classifier(evil).probabilities([picture])[0], expected)
    load_nasnet(evil)
    assert not stolen.exists()
    shutil.rmtree(evil / "variables")
    shutil.copytree(tmp_path / "graph" / "variables", evil / "variables")
    load_classifier(evil, trust_graph=True)([picture])
    assert stolen.read_text() == "s3cret"


@pytest.mark.parametrize(
    ("class_name", "module", "registered"),
    [("Lambda", "keras.layers", None), ("TextVectorization", "keras.layers", None), ("Any", "os", "evil>Any"), ("__lambda__", None, None)],
)
def test_a_description_with_other_classes_is_not_built(tiny_export, tmp_path, class_name, module, registered):
    for name in saved_model.DESCRIPTIONS:
        shutil.copy(tiny_export / name, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    layer = {"class_name": class_name, "module": module, "registered_name": registered, "config": {"name": "x"}, "inbound_nodes": []}
    description["config"]["layers"].append(layer)
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=f"model.json: names the class '{registered or class_name}', which no network of nasnet_tf uses"):
        load_nasnet(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"class_name": "Functional", "config": 3}', "\xff", '{"class_name": "Dense"}', "[]"])
def test_damaged_descriptions_give_one_line_errors(tiny_export, tmp_path, text):
    shutil.copy(tiny_export / "data.json", tmp_path)
    (tmp_path / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="model.json: cannot be read as the description of a network"):
        load_nasnet(tmp_path)


def test_decompression_bombs_are_not_unpacked(tiny_network, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_ALWAYS_ALLOWED", 100_000)
    member = tarfile.TarInfo("model.ckpt.data-00000-of-00001")
    member.size = 10_000_000
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with h5py.File(tmp_path / "bomb.weights.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (10**6, 10**6), "f4", chunks=(100, 100))  # no chunk of it is stored
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10_000_000))
    for name in ("bomb.tar.gz", "bomb.weights.h5", "bomb.keras"):
        with pytest.raises(InputError, match=rf"{name}: unpacks to [\d,]+ bytes or more from [\d,]+; expected at most [\d,]+, the "):
            load_weights(tiny_network, tmp_path / name)


def test_data_in_other_files_is_not_read(tiny_network, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(400))
    with h5py.File(tmp_path / "thief.weights.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (100,), "f4", external=[(str(tmp_path / "secret"), 0, 400)])
    with pytest.raises(InputError, match="refers to data in other files, which is not read"):
        load_weights(tiny_network, tmp_path / "thief.weights.h5")
