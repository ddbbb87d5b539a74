"""Every shipped recipe builds its network and takes a training step, its sizes turned down, and every binding of it is used."""

import random

import gin
import pytest
import tensorflow as tf

from nasnet_tf import cli, configurables
from nasnet_tf.genotype import SearchSpace, format_genotype, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.nas import search
from nasnet_tf.serving.convert_weights import save_weights

SMALLER = {
    "TrainingConfig.batch_size": "4",
    "TrainingConfig.epochs": "0.5",  # of 8 images: one step
    "TrainingConfig.evaluate_every_epochs": "0.5",
    "NetworkConfig.cells_per_stack": "1",
}


@pytest.fixture(autouse=True)
def _clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight training, four validation and four test images of two classes."""
    root = tmp_path_factory.mktemp("images")
    rng = random.Random(0)
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = tf.constant([rng.randrange(256) for _ in range(40 * 48 * 3)], tf.uint8, shape=[40, 48, 3])
                (root / split / label / f"{index}.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    return root


def parse(recipe, folder):
    """The recipe's own bindings; then the configuration with sizes turned down."""
    path = str(cli.find_recipe(recipe))
    gin.parse_config_file(path)
    shipped = cli.bindings(gin.config_str(max_line_length=10**6))
    changes = {name: value for name, value in SMALLER.items() if name in shipped}
    if "train.initial_weights" in shipped:
        network = NetworkConfig(1, "imagenet", 1.0, penultimate_filters=192)
        save_weights(build_network("nasnet_a", network, None, 64), folder / "weights.ckpt")
        changes["train.initial_weights"] = f"'{folder / 'weights.ckpt'}'"
    if shipped.get("ImageData.source") != "'digits'":
        changes["ImageData.source"] = f"'folder:{folder}'"
        if "ImageData.validation_examples" in shipped:
            changes["ImageData.validation_examples"] = "2"
    else:
        changes |= {"ImageData.train_split": "'train[:10]'", "ImageData.validation_examples": "2"}
    for sizes, small in (
        ("ImageNetPreprocessing.image_size", "64"),
        ("NetworkConfig.filters", "8"),
        ("NetworkConfig.penultimate_filters", "192"),
    ):
        if sizes in shipped:
            changes[sizes] = small
    gin.parse_config([f"{name} = {value}" for name, value in changes.items()])
    return shipped


def used():
    return set(cli.bindings(gin.operative_config_str(max_line_length=10**6)))


def test_recipes_are_all_tried():
    kinds = {name: "search" if "search" in name else "train" for name in cli.recipes()}
    assert kinds == dict.fromkeys(SEARCHES, "search") | dict.fromkeys(TRAININGS, "train")


SEARCHES = ["cifar10_search.gin", "quickstart_search.gin"]
TRAININGS = ["cifar10_nasnet_a.gin", "finetune.gin", "imagenet_large.gin", "imagenet_mobile.gin", "quickstart_train.gin"]


@pytest.mark.parametrize("recipe", TRAININGS)
def test_training_recipe(recipe, folder, tmp_path):
    shipped = parse(recipe, folder)
    model, evaluation = configurables.train(tmp_path)
    assert evaluation.examples in (2, 4)
    assert all(bool(tf.reduce_all(tf.math.is_finite(weight))) for weight in model.weights)
    assert (tmp_path / "checkpoints" / "last-1.index").exists()
    assert set(shipped) - used() == set()


@pytest.mark.parametrize("recipe", SEARCHES)
def test_search_recipe(recipe, folder, tmp_path, monkeypatch):
    shipped = parse(recipe, folder)
    seen = {}

    def note(workdir, space, strategy, engine, evaluate, num_trials, identity):
        pool = engine()
        pool.close()
        seen.update(decisions=strategy.propose().decisions, space=space)

    monkeypatch.setattr(search, "search", note)
    configurables.run_search(tmp_path, "", {})
    driver = used()
    genotype = seen["space"].decode(seen["decisions"])
    value = configurables.evaluate_configured(genotype)
    assert 0 <= value["reward"] <= 1
    assert value["metrics"]["parameters"] > 0
    assert set(shipped) - driver - used() == set()


def test_child_task_is_configured_by_text(folder):
    parse("cifar10_search.gin", folder)
    task = configurables.ChildTask(gin.config_str())
    gin.clear_config()
    space = SearchSpace(num_blocks=1)
    value = task(format_genotype(space.decode(space.sample(random.Random(0)))))
    assert set(value) == {"reward", "metrics"}


def test_recipes_of_named_networks_are_rows_of_the_zoo():
    recipes = {"mobile": "imagenet_mobile.gin", "large": "imagenet_large.gin", "cifar": "cifar10_nasnet_a.gin"}
    for name, recipe in recipes.items():
        gin.clear_config()
        gin.parse_config_file(str(cli.find_recipe(recipe)))
        bindings = cli.bindings(gin.config_str(max_line_length=10**6))
        prefix = "NetworkConfig."
        fields = {key.removeprefix(prefix): eval(value) for key, value in bindings.items() if key.startswith(prefix)}
        assert fields.pop("auxiliary_head") is True
        assert NetworkConfig(**fields) == ZOO[name].config
        assert load_genotype(eval(bindings["train.genotype"])) == load_genotype(ZOO[name].genotype)
