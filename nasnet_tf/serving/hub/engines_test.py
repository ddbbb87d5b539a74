"""Tests that TensorFlow, ONNX Runtime and LiteRT give equal answers, how one is chosen, and that two of them need no TensorFlow."""

import concurrent.futures
import io
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.preprocessing import preprocessing_from_config
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.serving.exports import engines
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.hub import engine_classifier
from nasnet_tf.serving.hub.classifier import load_classifier
from nasnet_tf.serving.hub.engine_classifier import EngineClassifier
from nasnet_tf.testing import REPOSITORY, run_door, smallest_genotype

FORMATS = ["keras", "onnx", "tflite"]
KINDS = {"cifar": 2.0, "imagenet": 0.25}
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from nasnet_tf.testing import run_door
run_door("predict", *sys.argv[1:])

import nasnet_tf
answers = nasnet_tf.load_classifier(sys.argv[2].removeprefix("--model="), engine=sys.argv[3].removeprefix("--engine="))(sys.argv[1])
print("from Python:", [each.name for each in answers])
"""


def exported(folder, kind, several=False):
    model = build_network(smallest_genotype(), NetworkConfig(1, kind, KINDS[kind], filters=8), 3, 32)
    for index, weight in enumerate(model.weights):
        weight.assign(weight + tf.random.stateless_uniform(weight.shape, [index, 3]) / 10)
    head = model.get_layer("logits")  # scaled below, so that its logits are as large as a trained network's
    head.kernel.assign(tf.random.stateless_normal(head.kernel.shape, [4, 3]))
    head.bias.assign(tf.zeros_like(head.bias))
    images = tf.image.resize(tf.random.stateless_uniform([8, 4, 4, 3], [1, 2]), [32, 32])
    logits = model(preprocessing_from_config({"kind": kind}).normalize(images))
    mean, factor = tf.reduce_mean(logits, 0), 2 / tf.reduce_mean(tf.math.reduce_std(logits, 0))
    head.kernel.assign(head.kernel * factor)
    head.bias.assign(-mean * factor)
    said = {"class_names": ["n02123045", "b", "c"], "preprocessing": {"kind": kind, "image_size": 32}}
    said |= {"task": "multi_label", "several_labels": True} if several else {}
    export(model, said, folder, FORMATS)
    return folder


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("engines")
    return {"cifar": exported(root / "cifar", "cifar"), "imagenet": exported(root / "imagenet", "imagenet", several=True)}


@pytest.fixture(scope="module")
def pictures():
    rng, found = np.random.default_rng(2), []
    sizes = {"PNG": (32, 32), "JPEG": (50, 40), "WEBP": (200, 300), "GIF": (40, 41), "BMP": (9, 33)}
    for kind, size in sizes.items():
        file = io.BytesIO()
        small = Image.fromarray(rng.integers(0, 256, [5, 5, 3], np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(file, kind)
        found.append(file.getvalue())
    return [*found, *(path.read_bytes() for path in sorted((REPOSITORY / "testdata" / "bccd").glob("*.jpg")))]


@pytest.mark.parametrize("kind", KINDS)
def test_all_engines_give_equal_probabilities(kind, exports, pictures, monkeypatch, capsys):
    usual = load_classifier(exports[kind])
    expected = usual.probabilities(pictures)
    assert np.ptp(np.array(expected), axis=0).max() > 0.1  # answers differ between pictures
    for engine in engines.FILES:
        monkeypatch.setattr(engines, "fastest", lambda folder, engine=engine: engine)
        found = load_classifier(exports[kind], engine="auto")
        assert isinstance(found, EngineClassifier)
        assert found.engine == engine
        np.testing.assert_allclose(found.probabilities(pictures), expected, rtol=0, atol=1e-5)
        assert found.probabilities([]) == []
        errors = capsys.readouterr().err
        assert errors.count(f"engine: {engine}\n") == 1
        assert errors.count("TensorFlow decodes a file that is no JPEG, PNG or WebP, because nothing else does it exactly\n") == 1
        copy = pickle.loads(pickle.dumps(found))
        np.testing.assert_array_equal(copy.probabilities(pictures[:1]), found.probabilities(pictures[:1]))
        photo = np.random.default_rng(3).integers(0, 256, [40, 50, 3], np.uint8)
        assert [each[::2] for each in found(photo)] == [each[::2] for each in usual(photo)]
        assert found.best(np.array([0.5, 0.6, 0.1])) == usual.best(np.array([0.5, 0.6, 0.1]))


@pytest.mark.parametrize("engine", [*engines.FILES, "tensorflow"])
def test_several_threads_may_call_one_classifier(engine, exports, pictures):
    classify, numbers = load_classifier(exports["cifar"], engine=engine), [0, 1, 5] * 40
    expected = classify.probabilities(pictures)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: classify.probabilities([pictures[number]])[0], numbers))
    np.testing.assert_allclose(found, [expected[number] for number in numbers], rtol=0, atol=1e-5)


def test_a_named_engine_refuses_pictures_that_only_tensorflow_decodes(exports, pictures):
    found = load_classifier(exports["cifar"], engine="onnx")
    answers = found.probabilities(pictures)
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, InputError)]
    assert refused == [3, 4]  # GIF and BMP
    message = "a file that is no JPEG, PNG or WebP, which only TensorFlow decodes exactly; use engine 'auto' instead of 'onnx'"
    assert str(answers[3]) == message
    with pytest.raises(InputError, match=f"image 0: cannot be decoded as an image: {message}"):
        found(pictures[3])
    broken = load_classifier(exports["cifar"], engine="auto").probabilities([pictures[1][:200]])
    assert str(broken[0]) == str(load_classifier(exports["cifar"]).probabilities([pictures[1][:200]])[0])


def test_without_tensorflow_such_a_picture_is_an_error_of_its_own(exports, pictures, monkeypatch):
    monkeypatch.setattr(engine_classifier, "is_installed", lambda module: False)
    answers = load_classifier(exports["cifar"], engine="auto").probabilities(pictures)
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, InputError)]
    assert refused == [3, 4]
    assert str(answers[3]).endswith("which only TensorFlow decodes exactly; install tensorflow")


@pytest.mark.parametrize("engine", ["tensorflow", "onnx"])
@pytest.mark.parametrize("wrong", [None, 5, np.zeros([0, 5, 3], np.uint8), [np.zeros([5, 0, 3], np.uint8)]])
def test_other_objects_are_no_images(engine, wrong, exports):
    with pytest.raises(InputError, match=r"^classifier: images?: expected "):
        load_classifier(exports["cifar"], engine=engine)(wrong)


def test_neither_predict_nor_load_classifier_needs_tensorflow(exports, tmp_path):
    photo, output = REPOSITORY / "testdata" / "bccd" / "BloodImage_00000.jpg", tmp_path / "answers.json"
    expected = load_classifier(exports["cifar"])(photo)
    for engine in (*engines.FILES, "auto"):
        arguments = [str(photo), f"--model={exports['cifar']}", f"--engine={engine}", f"--output={output}"]
        result = subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert f"engine: {engines.fastest(exports['cifar'])}" in result.stderr or engine != "auto"
        rows = json.loads(output.read_text())["top"]
        assert [row["class"] for row in rows] == [each.name for each in expected]
        np.testing.assert_allclose([row["probability"] for row in rows], [each.probability for each in expected], atol=1.1e-5)
        assert rows[0].keys() >= {"class", "probability"}
        assert f"from Python: {[each.name for each in expected]}" in result.stdout


def test_auto_chooses_the_fastest_installed_engine(exports, tmp_path, capsys, monkeypatch):
    photo = REPOSITORY / "testdata" / "digits" / "digit_3.png"
    only_keras = shutil.copytree(exports["cifar"], tmp_path / "only_keras", ignore=shutil.ignore_patterns("onnx", "tflite"))
    run_door("predict", photo, f"--model={only_keras}")
    assert "engine: tensorflow\n" in capsys.readouterr().err
    assert engines.fastest(exports["cifar"]) == next(iter(engines.FILES))
    for module in ("ai_edge_litert", "onnxruntime"):
        monkeypatch.setattr(engines, "is_installed", lambda name, module=module: name != module)
        assert engines.fastest(exports["cifar"]) == ("onnx" if module == "ai_edge_litert" else "tflite")
    for missing in ({"PIL"}, {"ai_edge_litert", "onnxruntime"}):
        monkeypatch.setattr(engines, "is_installed", lambda name, missing=missing: name not in missing)
        assert engines.fastest(exports["cifar"]) == "tensorflow"
    # A bare name means a network if there is one, else a folder. The current folder holds `imagenet` and `cifar`:
    monkeypatch.chdir(exports["cifar"].parent)
    assert engine_classifier._export("imagenet") is not None
    assert engine_classifier._export("cifar") is None
    assert engine_classifier._export("./cifar") is not None
    assert all(engine_classifier.is_network(name) for key, row in ZOO.items() for name in (key, row.title))


def test_wrong_choices_give_one_line_errors(exports, tmp_path, monkeypatch):
    folder = shutil.copytree(exports["cifar"], tmp_path / "copy")
    for name, options, message in (
        ("mobile", {}, "engine 'onnx': expected an export with onnx/float32.onnx, as --format=onnx writes it, got mobile"),
        (tmp_path, {}, "engine 'onnx': expected an export with onnx/float32.onnx"),
        (folder, {"trust_graph": True}, "engine 'onnx': runs a file of the export as it is; weights and trust_graph need engine 'tens"),
        (folder, {"weights": "x.h5"}, "engine 'onnx': runs a file of the export as it is"),
        (folder, {"engine": "torch"}, "engine: expected one of auto, tensorflow, onnx, tflite, got 'torch'"),
    ):
        with pytest.raises(InputError, match=message):
            load_classifier(name, **{"engine": "onnx", **options})
    misnamed = load_classifier(folder, engine="onnx", class_names=["a", "b"])
    with pytest.raises(InputError, match="expected 2 classes, one for each name, found 3"):
        misnamed(np.zeros([8, 8, 3], np.uint8))
    (folder / "onnx" / "float32.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(engines, "fastest", lambda folder: "onnx")
    for engine in ("onnx", "auto"):
        with pytest.raises(InputError, match=r"float32.onnx: is not the file of this export"):
            load_classifier(folder, engine=engine)
    for name, opener in (("x.onnx", engines.open_session), ("x.tflite", engines.open_tflite)):
        (tmp_path / name).write_bytes(b"damaged" * 100)
        with pytest.raises(InputError, match=f"{name}: cannot be opened by ") as caught:
            opener(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_numpy_views_knows_every_field_that_changes_evaluation(exports):
    fields = {name for kind in KINDS for name in preprocessing_from_config({"kind": kind}).__dataclass_fields__}
    training = {"upsample", "flip", "cutout_size", "area_range", "aspect_ratio_range", "distort_color"}
    sixteen_bits = {"white_level"}  # only TensorFlow decodes these files
    assert fields - training - sixteen_bits == {"image_size", "central_fraction", "resize"}
