"""Tests that nasnet_tf.train and nasnet_tf.evaluate do what the commands do, with arrays, names and objects."""

import json
import signal

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.api.networks import network_bindings
from nasnet_tf.api.running import configured
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import bindings
from nasnet_tf.data import CifarPreprocessing, ImageData
from nasnet_tf.genotype import genotype_hash, load_genotype
from nasnet_tf.recipes import reading, table
from nasnet_tf.recipes.training import TrainConfig
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.testing import run_door, smallest_genotype, terminated_at
from nasnet_tf.training import checkpoints, loop
from nasnet_tf.training.metrics_log import read_metrics

IMAGES = np.random.default_rng(0).integers(0, 256, [24, 8, 8, 3]).astype(np.uint8)
LABELS = np.arange(24) % 3
SMALL = {
    "NetworkConfig.cells_per_stack": 1,
    "NetworkConfig.filters": 4,
    "TrainingConfig.batch_size": 8,
    "ImageData.preprocessing": "@CifarPreprocessing()",
    "CifarPreprocessing.image_size": 8,
    "CifarPreprocessing.upsample": 1.0,
    "make_strategy.name": "one_device",
}
RECIPE = "quickstart_train.gin"
DETECTOR = {"DetectionData.source": "coco:cells"}


def swapped(genotype):
    """Returns a genotype with another operation in its normal cell."""
    other = type(genotype)()
    other.CopyFrom(genotype)
    other.normal_cell.blocks[0].left.operation = genotype.reduction_cell.blocks[0].left.operation
    return other


def train(workdir, data=(IMAGES, LABELS), more=None, **arguments):
    arguments = {"network": smallest_genotype(), "recipe": RECIPE, "epochs": 2, "validation": 0.25} | arguments
    return nasnet_tf.train(data, workdir=workdir, bindings=SMALL | (more or {}), **arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns (work folder, result of train)."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(folder)


def assert_same(model, other):
    for weight, same in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), same.numpy(), err_msg=weight.path)


def test_the_model_has_the_best_weights_and_the_folder_is_a_training(whole, capsys):
    folder, (model, evaluation) = whole
    assert isinstance(model, keras.Model)
    assert model.output.shape == (None, 3)
    assert_same(model, load_nasnet(folder))
    rows = [row for row in read_metrics(folder) if row["kind"] == "evaluation"]
    best = max(rows, key=lambda row: (row["accuracy"], row["step"]))
    assert (evaluation.accuracy, evaluation.examples) == (pytest.approx(best["accuracy"]), 6)
    assert genotype_hash(load_genotype(folder / "genotype.textproto")) == genotype_hash(smallest_genotype())
    with reading.own_bindings():
        run_door("train", f"--gin_file={folder / 'config.gin'}", f"--workdir={folder}")
    assert "last evaluation during training: " in capsys.readouterr().out


def test_an_interrupted_call_is_resumed_and_leaves_the_bindings_of_others(whole, tmp_path, monkeypatch):
    with reading.own_bindings():
        table.load()
        gin.parse_config("TrainingConfig.epochs = 77")
        with monkeypatch.context() as patch:
            patch.setattr(loop, "TrainStep", terminated_at(2, signal.SIGINT))
            with pytest.raises(KeyboardInterrupt, match="at step 3 of"):
                train(tmp_path)
        model, evaluation = train(tmp_path)
        assert gin.config_str().strip().splitlines()[-1] == "TrainingConfig.epochs = 77"
    assert_same(model, whole[1].model)
    assert evaluation == whole[1].evaluation


def test_best_weights_that_are_not_the_last_are_measured(whole, monkeypatch):
    monkeypatch.setattr(checkpoints, "is_best_last", lambda workdir: False)
    measured = []
    monkeypatch.setattr(TrainConfig, "measure", lambda job, model: measured.append(model) or "measured")
    model, evaluation = train(whole[0])
    assert evaluation == "measured"
    assert measured == [model]


def test_fine_tuning_from_a_work_folder_prepares_images_as_it_does(whole, tmp_path):
    """It has another recipe, other data and other class names than the training before it in this process."""
    names = np.array(["ant", "bee", "cow"])[LABELS]
    small = {"TrainingConfig.batch_size": 8, "make_strategy.name": "one_device"}
    trained = nasnet_tf.train((IMAGES, names), whole[0], workdir=tmp_path, epochs=1, bindings=small)
    assert trained.evaluation.examples == 2
    description = json.loads((tmp_path / "data.json").read_text())
    assert description["class_names"] == ["ant", "bee", "cow"]
    assert (description["preprocessing"]["kind"], description["preprocessing"]["image_size"]) == ("cifar", 8)
    stem = trained.model.get_layer("stem").get_weights()[0]  # frozen in this one epoch
    np.testing.assert_array_equal(stem, whole[1].model.get_layer("stem").get_weights()[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": (255 - IMAGES, LABELS)}, "the images or labels are not those that .* was begun with"),
        ({"epochs": 3}, "TrainingConfig.epochs was 2, is 3; restore the old value, use another workdir"),
        ({"network": "nasnet_b"}, "train.genotype was .*genotype.textproto', is 'nasnet_b'"),
        ({"network": swapped(smallest_genotype())}, "network: differs from the genotype that .* was begun with"),
        ({"more": {"TrainingConfig.epoch": 1}}, "bindings 'TrainingConfig.epoch = 1'.*did you mean .*epochs"),
        ({"more": {"ImageData.source": "digits"}}, "bindings: expected no 'ImageData.source', because the argument `data` sets it"),
        ({"recipe": "quickstart.gin"}, "quickstart.gin: no such file.* did you mean quickstart_t"),
        ({"network": "mobil"}, "network 'mobil': did you mean 'mobile'"),
        ({"network": 7}, "network: expected a genotype, a name, a size such as '6 @ 768', or a path, got 7"),
        ({"network": None, "weights": "none"}, "weights: expected 'trained', because no network is given, got 'none'"),
        (
            {"network": None, "recipe": "detect_small.gin", "more": DETECTOR},
            "recipe: expected one that trains on @ImageData.., got detect_",
        ),
        ({"weights": "mine.h5"}, "weights: expected 'none', because a genotype has no weights, got 'mine.h5'"),
    ],
)
def test_mistakes_in_a_folder_that_has_work(whole, changes, message):
    with pytest.raises(InputError, match=message):
        train(whole[0], **changes)


def test_a_mistake_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match="TrainingConfig.batch_size: expected an integer of 1 or more, got 'x'"):
        train(tmp_path / "run", more={"TrainingConfig.batch_size": "x"})
    with pytest.raises(InputError, match="data: expected a label for each image"):
        train(tmp_path / "run", data=(IMAGES, LABELS[:3]))
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="TrainingConfig.batch_size: expected at most the 18 training examples, got 19"):
        train(tmp_path / "run", more={"TrainingConfig.batch_size": 19})
    # The data and the genotype stay for the corrected call.
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"data", "genotype.textproto", "lock"}


def of_network(network, tmp_path, weights="trained", recipe="finetune.gin", said=None):
    """Returns the bindings of a training with this network, as text."""
    said = {"ImageData.source": "digits"} | (said or {})
    with configured(recipe, said, tmp_path) as text:
        values = network_bindings(network, weights, None, said, bindings(text), tmp_path)
    with configured(recipe, {**values, **said}, tmp_path) as text:
        return bindings(text)


def test_a_name_with_public_weights_starts_from_them_at_its_image_size(tmp_path):
    found = of_network("large", tmp_path)
    assert found["train.initial_weights"] == "'large'"
    assert found["ImageNetPreprocessing.image_size"] == "331"
    assert found["TrainingConfig.frozen_epochs"] == "5"
    assert of_network("large", tmp_path, said={"ImageNetPreprocessing.image_size": 224})["ImageNetPreprocessing.image_size"] == "224"


@pytest.mark.parametrize("weights", ["none", None])
def test_fresh_weights_are_not_frozen(weights, tmp_path, capsys):
    found = of_network("mobile", tmp_path, weights)
    assert found["train.initial_weights"] == "None"
    assert (found["train.genotype"], found["train.network"]) == ("'nasnet_a'", "@NetworkConfig()")
    assert (found["NetworkConfig.cells_per_stack"], found["NetworkConfig.penultimate_filters"]) == ("4", "1056")
    assert found["NetworkConfig.batch_norm_momentum"] == "0.9"
    assert found["TrainingConfig.frozen_epochs"] == "0"
    assert "network: 'mobile' starts from fresh weights" in capsys.readouterr().err


def test_a_size_is_the_network_that_load_nasnet_builds(tmp_path):
    found = of_network("6 @ 768", tmp_path)
    assert (found["ImageData.preprocessing"], found["CifarPreprocessing.image_size"]) == ("@CifarPreprocessing()", "32")
    assert found["NetworkConfig.stem"] == "'cifar'"
    larger = of_network("6 @ 768", tmp_path, said={"ImageNetPreprocessing.image_size": 96})
    assert larger["NetworkConfig.stem"] == "'imagenet'"
    assert larger["ImageData.preprocessing"] == "@ImageNetPreprocessing()"
    narrow = of_network("2 @ 768", tmp_path, said={"NetworkConfig.filters": 8})
    assert (narrow["NetworkConfig.filters"], narrow["NetworkConfig.penultimate_filters"]) == ("8", "None")


def test_weights_can_be_a_file_if_the_network_is_a_name(tmp_path):
    found = of_network("6 @ 768", tmp_path, "mine.h5")
    assert (found["train.initial_weights"], found["train.genotype"], found["TrainingConfig.frozen_epochs"]) == (
        "'mine.h5'",
        "'nasnet_a'",
        "5",
    )
    with pytest.raises(InputError, match="weights: expected 'trained', because ./mine.h5 has its own weights, got 'other.h5'"):
        of_network("./mine.h5", tmp_path, "other.h5")


def test_a_genotype_gets_the_size_of_the_recipe_or_of_mobile(tmp_path):
    assert of_network("nasnet_b", tmp_path)["NetworkConfig.penultimate_filters"] == "1056"
    assert of_network("nasnet_b", tmp_path)["NetworkConfig.stem"] == "'imagenet'"
    small = of_network(load_genotype("nasnet_c"), tmp_path, recipe=RECIPE)
    assert (small["train.genotype"], small["NetworkConfig.filters"]) == ("'nasnet_c'", "16")
    assert not (tmp_path / "genotype.textproto").exists()  # it has a name


def logits_of(model):
    return model.predict(tf.stack([tf.image.per_image_standardization(image) for image in IMAGES]), verbose=0)


def test_a_work_folder_is_evaluated_as_the_command_does(whole):
    folder = whole[0]
    found = nasnet_tf.evaluate(folder, split="validation")
    run_door("evaluate", f"--workdir={folder}", "--split=validation")
    written = json.loads((folder / "evaluation-validation.json").read_text())
    for measured in (found, whole[1].evaluation):
        assert (written["accuracy"], written["loss"]) == pytest.approx((measured.accuracy, measured.loss), rel=1e-5)


def test_arrays_and_pipelines_are_evaluated(whole):
    folder, (model, _) = whole
    expected = np.mean(logits_of(model).argmax(1) == LABELS)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(7)
    for network, data in ((folder, (IMAGES, LABELS)), (model, dataset), (model, (IMAGES / 255.0, np.eye(3)[LABELS]))):
        found = nasnet_tf.evaluate(network, data, batch_size=10)
        assert (found.accuracy, found.examples) == (pytest.approx(expected), 24)


def test_classes_are_found_by_name(whole):
    folder, (model, _) = whole
    names = ["cow", "ant", "bee"]
    expected = np.mean(logits_of(model).argmax(1) == LABELS)
    labels = np.array(names)[LABELS]
    assert nasnet_tf.evaluate(model, (IMAGES, labels), class_names=names).accuracy == pytest.approx(expected)
    with pytest.raises(InputError, match="Keras model .*: does not say the names of its classes, .*; pass class_names"):
        nasnet_tf.evaluate(model, (IMAGES, labels))
    with pytest.raises(InputError, match="the network lacks 3 of its 3 classes, such as 'ant'"):
        nasnet_tf.evaluate(folder, (IMAGES, labels))
    with pytest.raises(InputError, match="data: expected labels below 3, .*got 3"):
        nasnet_tf.evaluate(folder, (IMAGES, LABELS + 1))


def test_images_of_one_class_are_evaluated_and_no_images_are_refused(whole):
    model, names = whole[1].model, ["cow", "ant", "bee"]
    expected = np.mean(logits_of(model).argmax(1) == 1)
    assert nasnet_tf.evaluate(model, (IMAGES, ["ant"] * len(IMAGES)), class_names=names).accuracy == pytest.approx(expected)
    nothing = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).take(0)
    with pytest.raises(InputError, match="^data: expected images with labels, got none$"):
        nasnet_tf.evaluate(model, nothing, class_names=names)


def test_data_sets_by_name_and_image_data(whole):
    model = whole[1].model
    names = [str(number) for number in range(3)]
    with pytest.raises(InputError, match="the network lacks 7 of its 10 classes, such as '3'"):
        nasnet_tf.evaluate(model, "digits", class_names=names)
    data = ImageData("digits", CifarPreprocessing(image_size=16))
    with pytest.raises(InputError, match="data: expected images of 8 pixels, as the network takes them, got 16"):
        nasnet_tf.evaluate(model, data, class_names=names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": None, "model_or_path": "1 @ 192", "weights": "none"}, "data: expected data to measure on, because only a work"),
        ({"split": "val"}, "split: expected 'train', 'validation' or 'test', got 'val'"),
        ({"batch_size": 0}, "batch_size: expected an integer of 1 or more, got 0"),
        ({"class_names": ["a", "b", "c"]}, "class_names: expected None, because .*run has names of its own"),
        ({"model_or_path": "runs/none"}, "runs/none: no such folder"),
        ({"data": 3}, r"data: expected \(images, labels\), .*got int"),
        ({"model_or_path": keras.Sequential([keras.Input([8]), keras.layers.Dense(3)])}, "expected a network of load_nasnet"),
    ],
)
def test_evaluate_refuses_wrong_arguments(whole, arguments, message):
    with pytest.raises(InputError, match=message):
        nasnet_tf.evaluate(**{"model_or_path": whole[0], "data": (IMAGES, LABELS)} | arguments)
