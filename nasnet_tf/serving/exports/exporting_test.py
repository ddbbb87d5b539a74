"""Tests of every export format in its own loader, of manifests, and of files that were mixed up."""

import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.description import config_of
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.exports import engines, evaluations, exporting, tf_serving
from nasnet_tf.serving.exports.export_input import ExportInput
from nasnet_tf.serving.exports.inference_graph import for_any_batch, freeze
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.testing import tiny_genotype
from nasnet_tf.training import numerics

DESCRIPTION = {"task": "classification", "class_names": ["a", "b", "c"], "preprocessing": {"kind": "imagenet", "image_size": 20}}


def test_the_frozen_graph_has_no_batch_norm_and_takes_any_batch():
    for genotype, config in (
        ("nasnet_a", NetworkConfig(1, "imagenet", 1.0, filters=8)),
        (tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=4)),
    ):
        model = build_network(genotype, config, 3, 32)
        for index, weight in enumerate(model.weights):
            weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 1]) / 50)
        frozen = freeze(model)
        concrete = tf.function(frozen, input_signature=[tf.TensorSpec([None, 32, 32, 3])]).get_concrete_function()
        ops = {node.op for function in concrete.graph.as_graph_def().library.function for node in function.node_def}
        assert not ops & {"FusedBatchNormV3", "ReadVariableOp", "Mul", "StridedSlice", "Pad"}
        assert "BiasAdd" in ops
        images = tf.random.stateless_uniform([7, 32, 32, 3], [1, 2])
        expected = model(images, training=False)
        np.testing.assert_allclose(frozen(images)["output"], expected, rtol=1e-4, atol=3e-6 * np.abs(expected).max())
        np.testing.assert_array_equal(for_any_batch(frozen)(images)["output"], frozen(images)["output"])
        assert for_any_batch(frozen)(images[:0])["output"].shape == (0, 3)


def test_all_formats_are_there_and_checked(all_formats):
    manifest = json.loads((all_formats / "manifest.json").read_text())
    paths = ["tflite/float32.tflite", "tflite/float16.tflite", "tflite/dynamic_int8.tflite", "tflite/int8.tflite", "onnx/float32.onnx"]
    for path in ("saved_model.pb", "serving/3/saved_model.pb", "model.keras", *paths):
        assert path in manifest["files"]
    assert set(manifest["checks"]) >= {".", "serving/3", "model.keras", *paths}
    assert all((all_formats / path).is_file() for path in manifest["files"])
    assert manifest["classes"][:2] == [{"name": "tabby", "wordnet_id": "n02123045"}, {"name": "a|b"}]
    assert manifest["configuration"]["filters"] == 8
    assert "normal_cell" in manifest["genotype"]["text"]


def test_onnx_files_take_any_batch(all_formats, pictures):
    session = engines.open_session(all_formats / "onnx" / "float32.onnx")
    assert {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())} == {
        "images": ["batch", 20, 20, 3],
        "logits": ["batch", 3],
        "probabilities": ["batch", 3],
    }
    for size in (0, 7):
        assert session.run(["logits"], {"images": pictures[:size]})[0].shape == (size, 3)


def test_tensorflow_serving_gets_three_signatures_and_warm_up(all_formats, network, pictures):
    folder = all_formats / "serving" / "3"
    loaded = tf.saved_model.load(str(folder))
    features = loaded.signatures["image_feature_vector"](images=tf.constant(pictures[:7]))["feature_vector"]
    pool = keras.Model(network.input, network.get_layer("global_pool").output)
    np.testing.assert_allclose(features, pool(2 * pictures[:7] - 1, training=False), rtol=1e-4, atol=1e-5)
    logs = []
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")):
        log = tf_serving.prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        logs.append(request.model_spec.signature_name)
        loaded.signatures[request.model_spec.signature_name](**inputs)
    assert set(logs) == {"serving_default", "classify_encoded", "image_feature_vector"}
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["classify_encoded"](encoded=tf.constant([b"no image"]))
    assert loaded.signatures["classify_encoded"](encoded=tf.constant([], tf.string))["probabilities"].shape == (0, 3)
    assert loaded.signatures["serving_default"](images=tf.constant(pictures[:0]))["logits"].shape == (0, 3)
    assert loaded.signatures["image_feature_vector"](images=tf.constant(pictures[:0]))["feature_vector"].shape == features[:0].shape


def test_keras_opens_its_file_with_nothing_but_the_package_imported(all_formats, network):
    """The package is imported before Keras, and in the second round after it."""
    script = f"""
import sys, nasnet_tf, keras, numpy as np
for _ in range(2):
    opened = keras.models.load_model({str(all_formats / "model.keras")!r})
    print(opened(np.full([1, 20, 20, 3], 0.25, "float32")).numpy().tolist())
    keras.saving.get_custom_objects().clear()
    for name in [name for name in sys.modules if name.startswith("nasnet_tf")]:
        del sys.modules[name]
    import nasnet_tf"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    expected = network(np.full([1, 20, 20, 3], 0.25, "float32"), training=False)
    first, second = map(json.loads, result.stdout.splitlines())
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)
    assert second == first


def test_load_nasnet_takes_keras_files_and_folders_with_one(all_formats, network, pictures, tmp_path):
    expected = network(2 * pictures - 1, training=False)
    for name in ("model.json", "data.json", "manifest.json", "model.keras"):
        shutil.copy(all_formats / name, tmp_path)
    for path in (all_formats / "model.keras", tmp_path):
        np.testing.assert_allclose(load_nasnet(path)(2 * pictures - 1, training=False), expected, rtol=1e-4, atol=1e-5)
    picture = tf.io.encode_png(tf.zeros([20, 20, 3], tf.uint8)).numpy()
    assert load_classifier(all_formats / "model.keras")(picture)[0].probability > 0
    (tmp_path / "model.keras").unlink()
    with pytest.raises(InputError, match="is for inference only"):
        load_nasnet(tmp_path)


def test_weights_files_of_our_own_networks(network, tmp_path):
    network.save(tmp_path / "ours.keras")
    network.save_weights(tmp_path / "ours.weights.h5")
    for name in ("ours.keras", "ours.weights.h5"):
        other = build_network(tiny_genotype(), config_of(network), 3, 20)
        load_weights(other, tmp_path / name)
        for ours, theirs in zip(network.weights, other.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    wider = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=12), 3, 20)
    with pytest.raises(InputError, match="ours.keras: does not fit this network: .* of another shape"):
        load_weights(wider, tmp_path / "ours.keras")


def test_mixed_up_exports_are_refused(all_formats, tiny_export, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_export, other)
    load_nasnet(other)
    shutil.rmtree(other / "variables")
    shutil.copytree(all_formats / "variables", other / "variables")
    with pytest.raises(InputError, match="variables/variables.data-00000-of-00001: is not the file of this export"):
        load_nasnet(other)
    (other / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(InputError, match="is missing, though manifest.json lists it"):
        load_nasnet(other)


@pytest.mark.parametrize("engine", ["onnx", "auto"])
def test_a_file_that_the_manifest_does_not_list_is_refused(all_formats, tiny_export, tmp_path, engine):
    other = shutil.copytree(tiny_export, tmp_path / "other")
    shutil.copytree(all_formats / "onnx", other / "onnx")
    with pytest.raises(InputError, match="onnx/float32.onnx: is not a file of this export: manifest.json does not list it"):
        load_classifier(other, engine=engine)


def test_a_trusted_graph_must_be_of_the_export(all_formats, tiny_export, tmp_path):
    other = shutil.copytree(tiny_export, tmp_path / "other")
    shutil.copy(all_formats / "saved_model.pb", other)
    with pytest.raises(InputError, match="saved_model.pb: is not the file of this export"):
        load_classifier(other, trust_graph=True)


def test_networks_in_mixed_precision_are_exported_in_the_format_that_keeps_it(tmp_path):
    with numerics.dtype_policy("mixed_bfloat16"):
        mixed = build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=4), 3, (20, 20))
    with pytest.raises(InputError, match="export format 'onnx': expected a network that computes in float32, got one in bfloat16"):
        exporting.export(mixed, DESCRIPTION, tmp_path / "out", ["saved_model", "onnx"])
    exporting.export(mixed, DESCRIPTION, tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (np.zeros([2, 20, 20, 3], np.uint8), r"uint8 \[2, 20, 20, 3\]"),
        (np.full([2, 20, 20, 3], 255, np.float32), r"float32 \[2, 20, 20, 3\] in \[255, 255\]"),
        (np.zeros([2, 30, 20, 3], np.float32), r"float32 \[2, 30, 20, 3\]"),
        (np.zeros([0, 20, 20, 3], np.float32), r"float32 \[0, 20, 20, 3\]"),
        ([], "list"),
    ],
)
def test_wrong_pictures_are_refused(network, tmp_path, wrong, got):
    with pytest.raises(InputError, match=rf"^pictures: expected float32 \[1 or more, .*\] in \[0, 1\], got {got}"):
        exporting.export(network, DESCRIPTION, tmp_path / "out", ["keras"], pictures=wrong)


def test_calibration_takes_pictures_of_all_classes():
    pictures = np.zeros([250, 1, 1, 3], np.float32) + np.arange(250, dtype=np.float32)[:, None, None, None] / 250
    found = ExportInput(None, {}, pictures).calibration_pictures
    assert len(found) == 100
    assert np.abs(found[:, 0, 0, 0] - np.linspace(0, 0.996, 100)).max() < 0.01
    assert len(ExportInput(None, {}, pictures[:3]).calibration_pictures) == 3


def test_folders_of_an_export(network, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    exporting.export(network, DESCRIPTION, "~/exports/x", ["keras"])
    assert (tmp_path / "exports" / "x" / "manifest.json").is_file()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="here: is the current folder, which an export cannot replace"):
        exporting.export(network, DESCRIPTION, ".", ["keras"])


def test_a_file_that_differs_from_the_network_is_not_exported(network, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "open_file", lambda path, engine: lambda images: np.full([len(images), 3], 0.4, np.float32))
    with pytest.raises(InputError, match="onnx/float32.onnx on 8 images of noise: largest difference .* expected at most 0.0001: not exp"):
        exporting.export(network, DESCRIPTION, tmp_path / "bad", ["onnx"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="export format 'pb': expected one of saved_model, serving"):
        exporting.export(network, DESCRIPTION, tmp_path / "bad", ["pb"])


def test_a_lossy_file_that_takes_pictures_for_other_classes_is_left_out(network, pictures, tmp_path, monkeypatch):
    def opened(path, given):
        return lambda images: np.eye(3, dtype=np.float32)[given.expected.argmin(1)]

    row = exporting.Format("fake.bin", lambda given, path: path.write_bytes(b"x"), opened, most_difference=1.0, is_lossy=True)
    monkeypatch.setitem(exporting.FORMATS, "fake", (row,))
    for name, given, is_there in (("pictures", pictures, False), ("noise", None, True)):
        lines, basis = [], "20 images" if given is not None else "8 images of noise"
        manifest = exporting.export(network, DESCRIPTION, tmp_path / name, ["fake"], pictures=given, report=lines.append)
        assert (
            (tmp_path / name / "fake.bin").exists() == ("fake.bin" in manifest["files"]) == ("fake.bin" in manifest["checks"]) == is_there
        )
        assert json.loads((tmp_path / name / "manifest.json").read_text()) == manifest
        assert lines[0].startswith(f"fake.bin on {basis}: largest difference of probabilities ")
        assert ("top-1 agreement 0.0%; expected at most 1.0 and at least 98%: left out" in lines[0]) == (not is_there)


def test_sigterm_leaves_nothing(tmp_path):
    with pytest.raises(SystemExit) as caught, exporting.new_folder(tmp_path / "export") as temporary:  # noqa: PT012
        (temporary / "half").write_text("")
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert caught.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_evaluations_are_found_for_the_weights_they_measured(all_formats, network, tmp_path):
    for name, row in {
        "test": {"step": 7, "ema": True},
        "test-raw": {"step": 7, "ema": False},
        "validation": {"step": 6, "ema": True},
    }.items():
        (tmp_path / f"evaluation-{name}.json").write_text(json.dumps({"split": name, "accuracy": 0.5, **row}))
    rows = [{"kind": kind, "step": step, "epoch": 1.0, "accuracy": 0.25} for kind in ("train", "evaluation") for step in (6, 7)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    figures = evaluations.of_workdir(tmp_path, 7, use_ema=True)
    assert [(row["split"], row["accuracy"]) for row in figures] == [("test", 0.5), ("the one watched in training", 0.25)]
    assert [row["split"] for row in evaluations.of_workdir(tmp_path, 7, use_ema=False)] == ["test-raw"]
    # Results in an export and in a file of `evaluate --output` are matched by the hash of the weights.
    folder, other = tmp_path / "export", keras.models.clone_model(network)
    exporting.export(network, DESCRIPTION, folder, ["keras"], evaluations=figures)
    assert evaluations.of_export(folder, load_nasnet(folder)) == figures
    assert evaluations.of_export(folder, other) == evaluations.of_export(tmp_path / "none", network) == []
    evaluations.write(tmp_path / "mine.json", network, {"data": "folder:x", "accuracy": 0.75})
    assert evaluations.of_files([tmp_path / "mine.json"], load_nasnet(all_formats))[0]["accuracy"] == 0.75
    for file, message in (("mine.json", "mine.json: has results for other weights"), ("none.json", "none.json: no such file")):
        with pytest.raises(InputError, match=message):
            evaluations.of_files([tmp_path / file], other)
