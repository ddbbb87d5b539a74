"""Checks the shipped recipes: all bindings are used, numbers are those of the network, and one recipe of each kind trains a step."""

import dataclasses
import json
import random
import re
from unittest import mock

import gin
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base import identity
from nasnet_tf.data import ImageData
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.genotype import format_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO, canonical_name
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children import evaluator
from nasnet_tf.nas.children.fidelity import Bar, Request
from nasnet_tf.nas.engines import ray_cluster
from nasnet_tf.recipes import children, reading, search, table, tuning
from nasnet_tf.serving.weights.convert import save_weights
from nasnet_tf.testing import TINY_TEXT, made_by_gin, parse_shipped, smallest_genotype
from nasnet_tf.training import loop
from nasnet_tf.training.checkpoints import load_trained
from nasnet_tf.training.timetable import Timetable
from nasnet_tf.training.work_folder import read_description

SHARED = {"cifar10.gin", "digits.gin", "imagenet.gin", "detector.gin", "coco.gin"}  # included by other recipes
RECIPES = [name for name in reading.recipes() if name not in SHARED]


def zoo_name(recipe):
    """Returns the name in the zoo of a recipe's network, from its first line; None for fine-tuning, the quickstart and searches."""
    title = re.match(r"# (NASNet-. \(.*?\)) on (CIFAR-10|ImageNet)", reading.recipes()[recipe].read_text())
    return title and canonical_name(title[1])


NETWORKS = {recipe: zoo_name(recipe) for recipe in RECIPES if zoo_name(recipe)}


class Enough(Exception):
    """Raised where a training would begin."""


def deadline_in_recipe(bindings, scope):
    names = [f"{scope}/LocalPool.deadline_seconds"] if scope else []
    return float(next(bindings[name] for name in [*names, "LocalPool.deadline_seconds"] if name in bindings))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_binding_is_used(recipe, tmp_path, monkeypatch):
    seen = {}

    def begin_trial(workdir, bindings):
        raise Enough

    def begin_training(network, data, optimizer, learning_rate, training, *others, task=None, **more):
        assert data.image_size > 0
        assert task is None or task(data, training).kind == ("detection" if isinstance(data, DetectionData) else "classification")
        assert optimizer().learning_rate is not None
        assert learning_rate(5.0, 10.0, 32) > 0
        raise Enough

    def begin_search(workdir, config, *others, **more):
        seen["genotype"] = config.space.decode(config.new_strategy().propose().decisions)

    monkeypatch.setattr(ImageData, "num_classes", 10)
    monkeypatch.setattr(DetectionData, "notes", lambda *_: [])
    monkeypatch.setattr(DetectionData, "objects", lambda *_: [mock.Mock(is_crowd=np.array([False]))])
    monkeypatch.setattr(loop, "train_and_evaluate", begin_training)
    monkeypatch.setattr(evaluator, "train_and_evaluate", begin_training)
    monkeypatch.setattr(search, "run_search", begin_search)
    monkeypatch.setattr(tuning, "train_bound", begin_trial)
    node = {"Alive": True, "NodeID": "a", "Resources": {"CPU": 1.0}, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 1}
    context = mock.Mock(gcs_address="127.0.0.1:1", get_node_id=lambda: "a")
    ray = mock.Mock(nodes=lambda: [node], get_runtime_context=lambda: context)
    monkeypatch.setattr(ray_cluster, "connect", lambda address: ray)
    needed = {
        "finetune.gin": "ImageData__source",
        "detect_finetune.gin": "DetectionData__source",
        "detect_small.gin": "DetectionData__source",
    }
    shipped = parse_shipped(recipe, **({needed[recipe]: "digits"} if recipe in needed else {}))
    if "search.space" in shipped:
        search.search_job(made_by_gin("search"), "")(tmp_path)
        for scope in (None, table.RETRAIN_SCOPE):
            with gin.config_scope(scope):
                local, cluster = made_by_gin("LocalPool"), made_by_gin("RayTasks")
                local.close()
                # Both engines need the recipe's deadline: the default one would kill the paper's children.
                assert local._deadline == cluster._deadline == deadline_in_recipe(shipped, scope)
                with pytest.raises(Enough):
                    table.bound("evaluate_genotype")()(seen["genotype"])
    else:
        if "tune.oracle" in shipped:
            with pytest.raises(Enough):
                table.bound("tune")(shipped)(tmp_path)
        with pytest.raises(Enough):
            table.bound("train")()(tmp_path)
    assert set(shipped) - set(identity.bindings(gin.operative_config_str(max_line_length=10**6))) == set()


@pytest.mark.parametrize(("recipe", "name"), NETWORKS.items())
def test_recipe_agrees_with_its_row_of_the_zoo(recipe, name):
    row = ZOO[name]
    parse_shipped(recipe)
    assert gin.query_parameter("train.genotype") == row.genotype
    assert made_by_gin("NetworkConfig") == dataclasses.replace(row.config, auxiliary_head=True)
    preprocessing = made_by_gin("ImageData").preprocessing
    assert (preprocessing.config()["kind"], preprocessing.image_size) == (row.preprocessing, row.image_size)
    # The comment at the top of the file.
    head = reading.recipes()[recipe].read_text().split("\n\n")[0]
    assert f"nasnet_tf.train --gin_file={recipe} --workdir=" in head
    assert f"{row.paper.parameters / 1e6:.1f}M parameters" in head
    assert f"{row.mult_adds / 1e6:,.0f} million multiply-adds" in head
    assert f"{made_by_gin('TrainingConfig').epochs} epochs" in head
    if row.preprocessing == "imagenet":
        assert f"{row.paper.top_1}% top-1, {row.paper.top_5}% top-5." in head
    else:
        with_cutout = {0: False, 16: True}[preprocessing.cutout_size]
        assert f"{row.paper.error_with_cutout if with_cutout else row.paper.error:.2f}% error" in head.splitlines()[0]
        assert ("with cutout:" in head) == with_cutout


@pytest.mark.parametrize(
    ("recipe", "examples", "held_out"), [("cifar10_nasnet_a.gin", 50_000, 0), ("cifar10_nasnet_a_held_out.gin", 45_000, 5_000)]
)
def test_cifar_recipes_train_on_the_stated_number_of_images(recipe, examples, held_out):
    parse_shipped(recipe)
    head = reading.recipes()[recipe].read_text().split("\n\n")[0]
    data, training = made_by_gin("ImageData"), made_by_gin("TrainingConfig")
    assert data.validation_examples == held_out
    assert (training.evaluation_split is None) == (held_out == 0)
    steps = Timetable(training, 50_000 - held_out).total
    assert (steps, f"{examples:,}" in head) == ({50_000: 937_500, 45_000: 843_750}[examples], True)


@pytest.mark.parametrize("recipe", [recipe for recipe in NETWORKS if recipe.startswith("imagenet")])
def test_the_reported_split_of_imagenet_selects_no_checkpoint(recipe):
    parse_shipped(recipe)
    assert (made_by_gin("ImageData").test_split, made_by_gin("ImageData").validation_split) == ("validation", None)
    assert made_by_gin("TrainingConfig").evaluation_split is None


def test_every_row_of_the_zoo_has_recipes():
    expected = [*ZOO, *(name for name, row in ZOO.items() if row.paper.error_with_cutout)]
    assert sorted(NETWORKS.values()) == sorted(expected)


@pytest.mark.parametrize(
    ("recipe", "batch_size", "rate"),
    [
        ("imagenet_large.gin", 1600, 1.5),  # slim: 0.015 on each of 100 replicas with batch size 16
        ("imagenet_mobile.gin", 1600, 2.0),  # slim: 0.04 on each of 50 replicas with batch size 32
        ("imagenet_nasnet_a_7@1920.gin", 16, 0.015),
        ("imagenet_nasnet_c_3@960.gin", 32, 0.04),
    ],
)
def test_learning_rate_follows_the_batch_size(recipe, batch_size, rate):
    parse_shipped(recipe, **({} if batch_size == 1600 else {"TrainingConfig__batch_size": batch_size}))
    schedule = made_by_gin("exponential_decay")
    assert [schedule(epoch, 312, batch_size) for epoch in (0, 1.5, 3, 24.1)] == pytest.approx([0, rate / 2, rate * 0.97, rate * 0.97**10])


IMAGENET = loop.TrainingConfig(  # paper A.7, slim's notes
    312, 1600, 0.1, 0.4, gradient_clip_norm=10.0, ema_decay=0.9999, evaluation_split=None, replica_batch_size=32
)


@pytest.mark.parametrize(
    ("recipes", "training", "optimizer"),
    [
        (  # paper A.6, slim's CIFAR notes
            [recipe for recipe in NETWORKS if recipe.startswith("cifar10")],
            loop.TrainingConfig(600, 32, auxiliary_loss_weight=0.4, weight_decay=5e-4, gradient_clip_norm=5.0, evaluation_split=None),
            {"momentum": 0.9},
        ),
        (
            ["imagenet_mobile.gin", "imagenet_nasnet_b_4@1536.gin", "imagenet_nasnet_c_3@960.gin"],
            dataclasses.replace(IMAGENET, weight_decay=4e-5),
            {"decay": 0.9, "momentum": 0.9, "epsilon": 1.0},
        ),
        (
            ["imagenet_large.gin", "imagenet_nasnet_a_5@1538.gin", "imagenet_nasnet_a_7@1920.gin"],
            dataclasses.replace(IMAGENET, weight_decay=5e-5),
            {"decay": 0.9, "momentum": 0.9, "epsilon": 1.0},
        ),
    ],
)
def test_training_settings_are_those_of_the_paper(recipes, training, optimizer):
    for recipe in recipes:
        gin.clear_config()
        parse_shipped(recipe)
        assert made_by_gin("TrainingConfig") == training
        config = made_by_gin("Momentum" if recipe.startswith("cifar10") else "RMSProp").get_config()
        assert optimizer.items() <= config.items()


# One step with 4 images and the smallest cells. doors_test runs the recipes of the quickstart.
SMALL = {
    "TrainingConfig__batch_size": 4,
    "TrainingConfig__epochs": 0.5,  # of 8 images
    "TrainingConfig__evaluate_every_epochs": 0.5,
    "NetworkConfig__cells_per_stack": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with eight training, four validation and four test images of two classes, and a genotype."""
    root = tmp_path_factory.mktemp("images")
    rng = random.Random(0)
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = tf.constant([rng.randrange(256) for _ in range(40 * 48 * 3)], tf.uint8, shape=[40, 48, 3])
                (root / split / label / f"{index}.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    # Only operations that TF-slim has, because its checkpoints are used.
    text = TINY_TEXT.replace("operation: CONV_1X1", "operation: IDENTITY").replace("operation: CONV_3X3", "operation: SEP_CONV_3X3")
    (root / "tiny.textproto").write_text(text)
    return root


@pytest.mark.parametrize("recipe", ["cifar10_nasnet_a_cutout.gin", "imagenet_large.gin", "finetune.gin"])
def test_every_training_recipe_takes_a_step(recipe, folder, tmp_path, monkeypatch):
    changes = SMALL | {"ImageData__source": f"folder:{folder}", "train__genotype": str(folder / "tiny.textproto")}
    changes["NetworkConfig__penultimate_filters"] = 32  # F = 8
    if recipe.startswith("cifar10"):
        changes["ImageData__train_split"], changes["ImageData__validation_split"] = "train", "validation"
    else:
        changes["ImageNetPreprocessing__image_size"] = 32
    if recipe == "finetune.gin":
        weights = tmp_path / "weights.ckpt"
        network = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=32)
        save_weights(build_network(str(folder / "tiny.textproto"), network, None, 32), weights)
        changes["train__initial_weights"] = str(weights)
    if recipe == "imagenet_large.gin":
        changes["exponential_decay__warmup_epochs"] = 0.0  # otherwise the only step has rate 0
    else:
        changes["TrainingConfig__evaluation_split"] = "validation"
    parse_shipped(recipe, **changes)
    if recipe == "finetune.gin":  # a weights file does not describe its network
        gin.parse_config(["train.network = @NetworkConfig()", "NetworkConfig.stem = 'imagenet'", "NetworkConfig.stem_multiplier = 1.0"])
    fresh = {}

    class Noted(loop.TrainStep):
        def __init__(self, state, *arguments):
            fresh.update({weight.path: weight.numpy() for weight in state.model.weights})
            super().__init__(state, *arguments)

    monkeypatch.setattr(loop, "TrainStep", Noted)
    model, evaluation = table.bound("train")()(tmp_path / "run")
    (logits,) = (weight for weight in model.weights if weight.path == "logits/kernel")
    assert not (logits.numpy() == fresh["logits/kernel"]).all()
    if recipe == "imagenet_large.gin":
        assert evaluation is None
        # No evaluation selected a best checkpoint, so "best" is the last one.
        assert load_trained(tmp_path / "run", read_description(tmp_path / "run")[0], "best") == 1
    else:
        assert evaluation.examples == 4
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] > 0 for row in rows if row["kind"] == "train"] == [True]
    assert all(bool(tf.reduce_all(tf.math.is_finite(weight))) for weight in model.weights)
    assert (tmp_path / "run" / "checkpoints" / "last-1.index").exists()


def test_child_task_is_configured_by_text(folder, tmp_path):
    small = SMALL | {"NetworkConfig__filters": 2, "ImageData__source": f"folder:{folder}", "ImageData__validation_examples": 4}
    small |= {"TrainingConfig__epochs": 2.0, "TrainingConfig__evaluate_every_epochs": 1.0}
    parse_shipped("cifar10_search.gin", CifarPreprocessing__image_size=8, **small)
    gin.parse_config(
        ["retrain/NetworkConfig.cells_per_stack = 1", "retrain/NetworkConfig.filters = 4", "retrain/TrainingConfig.epochs = 1"]
    )
    text = gin.config_str()
    assert "include" not in text
    gin.clear_config()
    genotype = smallest_genotype()
    outcome = children.ChildTask(text)(format_genotype(genotype))
    assert 0 <= outcome["reward"] <= 1
    assert len(outcome["metrics"]["curve"]) == 2
    assert outcome["metrics"]["curve"][-1] == pytest.approx(outcome["reward"], abs=1e-6)
    hopeless = children.ChildTask(text)(format_genotype(genotype), Request(bars=(Bar(min_accuracy=1.1, slope=0.0, intercept=0.25),)))
    assert hopeless["reward"] == 0.25
    assert (hopeless["metrics"]["stopped_epoch"], hopeless["metrics"]["curve"]) == (1.0, outcome["metrics"]["curve"][:1])
    retrained = children.ChildTask(text, None, table.RETRAIN_SCOPE, tmp_path / "retrain")(format_genotype(genotype))
    assert retrained["metrics"]["parameters"] > outcome["metrics"]["parameters"]
    kept = retraining.trained_folder(tmp_path / "retrain", genotype)
    assert children.measure_on_test(kept)["examples"] == 4
