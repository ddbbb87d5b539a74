"""Every shipped recipe: all of its bindings are used and its numbers are those of its network; one of each kind trains a step."""

import dataclasses
import json
import pickle
import random
import re
from unittest import mock

import gin
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base import identity
from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.genotype import format_genotype, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO, canonical_name
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children import evaluator
from nasnet_tf.nas.children.fidelity import Bar, Request
from nasnet_tf.nas.children.objectives import WithObjective
from nasnet_tf.nas.children.shared_weights import SharedWeights
from nasnet_tf.nas.engines import ray_tasks
from nasnet_tf.recipes import children, reading, search, table, tuning
from nasnet_tf.serving.weights.convert import save_weights
from nasnet_tf.testing import TINY_TEXT, smallest_genotype
from nasnet_tf.training import loop
from nasnet_tf.training.checkpoints import load_trained
from nasnet_tf.training.timetable import Timetable
from nasnet_tf.training.work_folder import read_description

SHARED = {"cifar10.gin", "digits.gin", "imagenet.gin", "detector.gin", "coco.gin"}  # included by others
RECIPES = [name for name in reading.recipes() if name not in SHARED]


def zoo_name(recipe):
    """The row of the zoo that a recipe is for, by its first line; None for fine-tuning, the quickstart and searches."""
    title = re.match(r"# (NASNet-. \(.*?\)) on (CIFAR-10|ImageNet)", reading.recipes()[recipe].read_text())
    return title and canonical_name(title[1])


NETWORKS = {recipe: zoo_name(recipe) for recipe in RECIPES if zoo_name(recipe)}


@pytest.fixture(autouse=True)
def _clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


def parse(recipe, **changes):
    """The recipe's own bindings, before the changes are made: a "name__parameter" for each "name.parameter"."""
    reading.parse_recipe(reading.read_recipe(reading.find_recipe(recipe)))
    shipped = identity.bindings(gin.config_str(max_line_length=10**6))
    gin.parse_config([f"{name.replace('__', '.')} = {value!r}" for name, value in changes.items()])
    return shipped


def job(config_text=""):
    """The search that is bound."""
    return search.search_job(make("search"), config_text)


def make(name):
    """What a recipe makes of a configurable."""
    return gin.get_configurable(name)()


class Enough(Exception):
    """Training would begin now."""


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
    node = {"Alive": True, "NodeID": "a", "Resources": {"CPU": 1.0}}
    monkeypatch.setattr(ray_tasks, "_connect", lambda address: mock.Mock(nodes=lambda: [node]))
    needed = {
        "finetune.gin": "ImageData__source",
        "detect_finetune.gin": "DetectionData__source",
        "detect_small.gin": "DetectionData__source",
    }
    shipped = parse(recipe, **({needed[recipe]: "digits"} if recipe in needed else {}))
    if "search.space" in shipped:
        job()(tmp_path)
        for scope in (None, table.RETRAIN_SCOPE):
            with gin.config_scope(scope):
                local, cluster = make("LocalPool"), make("RayTasks")
                local.close()
                # Whichever engine runs: the default would kill the paper's children in the middle.
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
def test_recipe_is_that_of_its_row_of_the_zoo(recipe, name):
    row = ZOO[name]
    parse(recipe)
    assert gin.query_parameter("train.genotype") == row.genotype
    assert make("NetworkConfig") == dataclasses.replace(row.config, auxiliary_head=True)
    preprocessing = make("ImageData").preprocessing
    assert (preprocessing.config()["kind"], preprocessing.image_size) == (row.preprocessing, row.image_size)
    # What the file says on top.
    head = reading.recipes()[recipe].read_text().split("\n\n")[0]
    assert f"nasnet_tf.train --gin_file={recipe} --workdir=" in head
    assert f"{row.paper.parameters / 1e6:.1f}M parameters" in head
    assert f"{row.mult_adds / 1e6:,.0f} million multiply-adds" in head
    assert f"{make('TrainingConfig').epochs} epochs" in head
    if row.preprocessing == "imagenet":
        assert f"{row.paper.top_1}% top-1, {row.paper.top_5}% top-5." in head
    else:
        with_cutout = {0: False, 16: True}[preprocessing.cutout_size]
        assert f"{row.paper.error_with_cutout if with_cutout else row.paper.error:.2f}% error" in head.splitlines()[0]
        assert ("with cutout:" in head) == with_cutout


@pytest.mark.parametrize(
    ("recipe", "examples", "held_out"), [("cifar10_nasnet_a.gin", 50_000, 0), ("cifar10_nasnet_a_held_out.gin", 45_000, 5_000)]
)
def test_cifar_is_trained_on_as_many_images_as_the_recipe_says(recipe, examples, held_out):
    parse(recipe)
    head = reading.recipes()[recipe].read_text().split("\n\n")[0]
    data, training = make("ImageData"), make("TrainingConfig")
    assert data.validation_examples == held_out
    assert (training.evaluation_split is None) == (held_out == 0)
    steps = Timetable(training, 50_000 - held_out).total
    assert (steps, f"{examples:,}" in head) == ({50_000: 937_500, 45_000: 843_750}[examples], True)


@pytest.mark.parametrize("recipe", [recipe for recipe in NETWORKS if recipe.startswith("imagenet")])
def test_what_is_reported_of_imagenet_chooses_nothing(recipe):
    parse(recipe)
    assert (make("ImageData").test_split, make("ImageData").validation_split) == ("validation", None)
    assert make("TrainingConfig").evaluation_split is None


def test_every_row_of_the_zoo_has_its_recipes():
    expected = [*ZOO, *(name for name, row in ZOO.items() if row.paper.error_with_cutout)]
    assert sorted(NETWORKS.values()) == sorted(expected)


@pytest.mark.parametrize(
    ("recipe", "batch_size", "rate"),
    [
        ("imagenet_large.gin", 1600, 1.5),  # slim: 0.015 for each of 100 replicas of 16
        ("imagenet_mobile.gin", 1600, 2.0),  # slim: 0.04 for each of 50 replicas of 32
        ("imagenet_nasnet_a_7@1920.gin", 16, 0.015),
        ("imagenet_nasnet_c_3@960.gin", 32, 0.04),
    ],
)
def test_learning_rate_follows_the_batch_size(recipe, batch_size, rate):
    parse(recipe, **({} if batch_size == 1600 else {"TrainingConfig__batch_size": batch_size}))
    schedule = make("exponential_decay")
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
def test_training_is_the_papers(recipes, training, optimizer):
    for recipe in recipes:
        gin.clear_config()
        parse(recipe)
        assert make("TrainingConfig") == training
        config = make("Momentum" if recipe.startswith("cifar10") else "RMSProp").get_config()
        assert optimizer.items() <= config.items()


# One step of 4 images, on the smallest cells there are. The recipes of the quickstart are run by doors_test.
SMALL = {
    "TrainingConfig__batch_size": 4,
    "TrainingConfig__epochs": 0.5,  # of 8 images
    "TrainingConfig__evaluate_every_epochs": 0.5,
    "NetworkConfig__cells_per_stack": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight training, four validation and four test images of two classes, and a genotype."""
    root = tmp_path_factory.mktemp("images")
    rng = random.Random(0)
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = tf.constant([rng.randrange(256) for _ in range(40 * 48 * 3)], tf.uint8, shape=[40, 48, 3])
                (root / split / label / f"{index}.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    # With operations that TF-slim has, for its checkpoints.
    text = TINY_TEXT.replace("operation: CONV_1X1", "operation: IDENTITY").replace("operation: CONV_3X3", "operation: SEP_CONV_3X3")
    (root / "tiny.textproto").write_text(text)
    return root


@pytest.mark.parametrize("recipe", ["cifar10_nasnet_a_cutout.gin", "imagenet_large.gin", "finetune.gin"])
def test_training_step(recipe, folder, tmp_path, monkeypatch):
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
        changes["exponential_decay__warmup_epochs"] = 0.0  # or the only step would be at rate 0
    else:
        changes["TrainingConfig__evaluation_split"] = "validation"
    parse(recipe, **changes)
    if recipe == "finetune.gin":  # a weights file does not say its network
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
        assert load_trained(tmp_path / "run", read_description(tmp_path / "run")[0], "best") == 1  # the last, as nothing chose
    else:
        assert evaluation.examples == 4
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] > 0 for row in rows if row["kind"] == "train"] == [True]
    assert all(bool(tf.reduce_all(tf.math.is_finite(weight))) for weight in model.weights)
    assert (tmp_path / "run" / "checkpoints" / "last-1.index").exists()


def test_child_task_is_configured_by_text(folder, tmp_path):
    small = SMALL | {"NetworkConfig__filters": 2, "ImageData__source": f"folder:{folder}", "ImageData__validation_examples": 4}
    small |= {"TrainingConfig__epochs": 2.0, "TrainingConfig__evaluate_every_epochs": 1.0}
    parse("cifar10_search.gin", CifarPreprocessing__image_size=8, **small)
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
    assert evaluator.measure_on_test(kept)["examples"] == 4


def test_what_a_search_begins_with_costs_and_may_spend_is_bound(tmp_path, monkeypatch):
    seen = {}

    def begin_search(workdir, config, evaluate, identity, take_over, scalars):
        seen.update(config=config, evaluate=evaluate, identity=identity)
        return []

    monkeypatch.setattr(search, "run_search", begin_search)
    lines = [
        "search.strategy = @Prescreened",
        "Prescreened.strategy = @RegularizedEvolution",
        "Prescreened.seed = 3",
        "RegularizedEvolution.seed = 0",
        "search.seeds = ['nasnet_a']",
        "search.objective = @CostReward()",
        "CostReward.target = 3e6",
        "search.max_hours = 8",
        "search.max_child_hours = 12.5",
        "search.child_watts = 65.0",
        "search.halving = @SuccessiveHalving()",
        "SearchSpace.fixed_reduction = 'nasnet_a'",
    ]
    parse("quickstart_search.gin")
    gin.parse_config(lines)
    assert list(table.mistakes([line.split(" = ")[0] for line in lines])) == []
    job()(tmp_path)
    config = seen["config"]
    assert (config.max_trainings, config.max_hours, config.max_child_hours) == (None, 8, 12.5)
    assert (config.child_watts, config.child_hour_price, config.halving.eta) == (65.0, None, 3)
    strategy = config.new_strategy()
    assert len(strategy.propose().decisions) == 25
    genotype = config.space.decode(strategy.propose().decisions)
    assert genotype.reduction_cell == load_genotype("nasnet_a").reduction_cell
    assert "fixed reduction_cell" in seen["identity"].values
    assert pickle.loads(pickle.dumps(WithObjective(seen["evaluate"], config.objective)))._objective.target == 3e6
    gin.parse_config("search.take_over = ['" + str(tmp_path) + "']")
    with pytest.raises(InputError, match=r"search.take_over: expected work folders of other searches"):
        job()(tmp_path)


def test_a_mistake_in_a_search_leaves_nothing_behind(tmp_path):
    parse("quickstart_search.gin")
    gin.parse_config(["search.engine = @RayTasks", "RayTasks.address = '127.0.0.1:1'"])
    with pytest.raises(InputError, match="no cluster at 127.0.0.1:1"):
        job()(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_scores_are_those_of_the_searching_process_in_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["search.evaluator = @ZeroCost()", "ZeroCost.network = @NetworkConfig()", "ZeroCost.data = @ImageData()"]
    lines += ["ZeroCost.proxy = 'synflow'", "ZeroCost.batch_size = 8", "SearchSpace.num_blocks = 1", "search.num_trials = 2"]
    text = reading.parse_gin(["quickstart_search.gin"], [*lines, "NetworkConfig.filters = 4", "NetworkConfig.cells_per_stack = 1"])
    trials, _ = job(text)(tmp_path / "run")
    score = make("ZeroCost")
    for trial in trials:
        assert trial.metrics["synflow"] == trial.reward == pytest.approx(score(trial.text)["reward"], rel=1e-4)
    assert len({trial.reward for trial in trials}) == 2


def test_what_scores_is_bound(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        search, "run_search", lambda workdir, config, evaluate, *more, **most: seen.update(config=config, task=evaluate) or []
    )
    monkeypatch.setattr(SharedWeights, "train", lambda self, workdir: 12.5)
    lines = ["search.evaluator = @SharedWeights()", "SharedWeights.space = @SearchSpace()", "SharedWeights.network = @NetworkConfig()"]
    lines += ["SharedWeights.data = @ImageData()", "SharedWeights.training = @shared/TrainingConfig()", "shared/TrainingConfig.epochs = 30"]
    lines += ["SharedWeights.learning_rate = @cosine_decay()"]
    parse("quickstart_search.gin")
    gin.parse_config(lines)
    assert list(table.mistakes([line.split(" = ")[0] for line in lines])) == []
    job()(tmp_path)
    config = seen["config"]
    assert isinstance(config.evaluator, SharedWeights)
    assert seen["task"]._evaluator is config.evaluator
    assert config.evaluator.prepare(tmp_path) == ("shared weights", 12.5)
    engine = mock.Mock()
    dataclasses.replace(config, engine=engine).new_engine()
    engine.assert_called_once_with(keep_processes=True)
    gin.parse_config("search.halving = @SuccessiveHalving()")
    with pytest.raises(InputError, match="search.evaluator: expected neither"):
        job()
