"""Tests that cards say what manifests say, that their snippets run, and that exports from a model hub load."""

import contextlib
import io
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.serving.exports import card, manifest
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.detector import load_detector
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.testing import REPOSITORY, run_door


@pytest.fixture(scope="module")
def several_labels(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards") / "labels"
    said = {
        "task": "multi_label",
        "several_labels": True,
        "class_names": ["a", "b", "c"],
        "preprocessing": {"kind": "imagenet", "image_size": 20},
    }
    export(network, said, folder, ["tflite"], evaluations=[{"split": "test", "f1": 0.5, "class_f1": {"a": 0.25}, "examples": 4}])
    return folder


def text_of(folder):
    return (folder / "README.md").read_text()


def snippets_of(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(folder, snippet, monkeypatch):
    """Runs a snippet in a folder with a picture; returns what it prints."""
    pixels = np.random.default_rng(0).integers(0, 255, [40, 50, 3]).astype(np.uint8)
    (folder / "photo.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(snippet, "README.md", "exec"), {})
    return printed.getvalue()


def test_the_card_says_what_the_manifest_says(all_formats):
    said, text = manifest.read(all_formats), text_of(all_formats)
    assert text == card.card(said)
    head = text.split("---\n")[1]
    assert "license: apache-2.0\n" in head
    assert "pipeline_tag: image-classification\n" in head
    assert head.endswith("metrics:\n- accuracy\n")
    assert all(f"- {tag}\n" in head for tag in ("nasnet", "keras", "tensorflow", "onnx", "tflite"))
    assert f"| parameters | {said['configuration']['parameters']:,} |" in text
    assert said["genotype"]["hash"] in text
    assert r"| classes | tabby, a\|b, \*c\* |" in text
    assert "| split | data | examples | accuracy | loss |" in text
    assert "| test |  | 40 | 0.8750 | 0.5000 |" in text
    assert "| validation |  |  | 0.7500 |  |" in text
    assert "0.1250" not in text
    assert "`folder:pet photos`" in text
    assert "somebody" not in text
    assert "somebody" not in (all_formats / "manifest.json").read_text()
    for path, check in said["checks"].items():
        called = {".": "saved_model.pb", "serving/3": "serving/3/saved_model.pb"}.get(path, path)
        assert f"| `{called}` | {check['largest_difference']:.2g} | {check['top_1_agreement']:.1%} |" in text
    assert "README.md" not in said["files"]
    assert "The exporter states this license for the weights: apache-2.0." in text


def test_nothing_is_said_that_is_not_known(several_labels, network, tmp_path):
    export(network, {"class_names": ["a", "b", "c"]}, tmp_path / "bare", ["keras"], evaluations=[{"accuracy": 0.125, "examples": 9}])
    text = text_of(tmp_path / "bare")
    assert "license" not in text.split("---\n")[1]
    assert "metrics" not in text.split("---\n")[1]
    assert "The exporter states no license for the weights." in text
    assert "The manifest has no evaluation result of a known split." in text
    assert "does not record the data" in text
    assert "0.1250" not in text
    assert "ONNX" not in text
    several = text_of(several_labels)
    assert "Each class has its own probability" in several
    assert "| test |  | 4 | 0.5000 |" in several
    said = manifest.read(several_labels)
    assert 'license: other\nlicense_name: "for our \\"clinic\\""\n' in card.card({**said, "license": 'for our "clinic"'})
    assert "- loss" not in card.card({**said, "evaluations": [{"split": "test", "f1": 0.5, "loss": 0.5}]})
    with pytest.raises(InputError, match="license: expected a text of one line"):
        export(network, {"class_names": ["a", "b", "c"], "license": "a\nb"}, tmp_path / "bad", ["keras"])


def test_a_detector_has_a_card(tiny_detector):
    text = text_of(tiny_detector)
    assert "pipeline_tag: object-detection\n" in text
    assert "The detector only finds objects of 1 class." in text
    assert "`coco:cells`" in text
    assert "| test |  | 2 | -1.0000 |" in text
    assert len(snippets_of(text)) == 2


@pytest.mark.parametrize("kind", ["all_formats", "several_labels", "tiny_detector"])
def test_each_snippet_runs(kind, request, tmp_path, monkeypatch):
    original = request.getfixturevalue(kind)
    folder = shutil.copytree(original, tmp_path / "copy")
    found = snippets_of(text_of(folder))
    assert len(found) == {"all_formats": 6, "several_labels": 2, "tiny_detector": 2}[kind]
    for snippet in found:
        assert run(folder, snippet, monkeypatch).strip()


def through_a_hub(folder, to):
    """Returns an export as a hub gives it back: no empty folders, no hidden files but the hub's, links instead of files, an edited card."""
    for file in filter(lambda path: path.is_file() and not path.name.startswith("."), folder.rglob("*")):
        blob = to / "blobs" / manifest._sha256(file)
        link = to / "snapshot" / file.relative_to(folder)
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(blob)
    found = to / "snapshot"
    (found / ".gitattributes").write_text("*.keras filter=lfs diff=lfs merge=lfs -text\n")
    (found / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (found / ".cache" / "huggingface" / "download" / "model.keras.metadata").write_text("1")
    (found / "README.md").unlink()
    (found / "README.md").write_text("edited")
    return found


def test_an_export_from_a_hub_loads(all_formats, tiny_detector, tmp_path):
    picture = tf.io.encode_png(np.random.default_rng(1).integers(0, 255, [50, 40, 3]).astype(np.uint8)).numpy()
    folder = through_a_hub(all_formats, tmp_path / "a")
    assert not any(path.is_dir() and not any(path.iterdir()) for path in folder.rglob("*"))
    assert load_nasnet(folder).count_params() == load_nasnet(all_formats).count_params()
    for trust_graph in (False, True):
        answers = [load_classifier(each, trust_graph=trust_graph)(picture) for each in (folder, all_formats)]
        assert answers[0] == answers[1]
    run_door("export", f"--model={folder}", f"--output={tmp_path / 'again'}", "--format=keras")
    assert manifest.read(tmp_path / "again")["evaluations"] == manifest.read(all_formats)["evaluations"]
    assert manifest.read(tmp_path / "again")["license"] == "apache-2.0"
    found = through_a_hub(tiny_detector, tmp_path / "b")
    assert load_detector(found).answers([picture]) == load_detector(tiny_detector).answers([picture])


def test_the_export_that_ships_has_its_card():
    folder = REPOSITORY / "testdata" / "digits_network"
    assert text_of(folder) == card.card(manifest.read(folder))
    manifest.verify(folder, ["model.json", "data.json", "model.keras"])


def test_the_command_states_a_license(all_formats, tmp_path):
    run_door("export", f"--model={all_formats}", f"--output={tmp_path / 'mine'}", "--format=keras", "--license=cc-by-4.0")
    assert "\nlicense: cc-by-4.0\n" in text_of(tmp_path / "mine")
