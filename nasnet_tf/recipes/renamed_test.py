"""Checks that work that was begun with a former default keeps it, and that new work has the current one."""

import json
import re

import gin
import pytest

from nasnet_tf.base.identity import bindings
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.recipes.reading import parse_gin, recipes
from nasnet_tf.recipes.search import _identities
from nasnet_tf.testing import run_door, smallest_genotype

MOMENTUM = "NetworkConfig.batch_norm_momentum"


@pytest.fixture
def silent(tmp_path):
    """A recipe for digits that does not bind the momentum."""
    text = "".join(recipes()[name].read_text() for name in ("digits.gin", "quickstart_train.gin"))
    path = tmp_path / "silent.gin"
    path.write_text(re.sub(rf"^(include|{MOMENTUM}) .*", "", text, flags=re.MULTILINE))
    return path


@pytest.mark.parametrize(
    ("begun", "bound", "meant"),
    [
        (None, [], "0.9"),
        ({}, [], "0.9997"),  # begun by an older version, which did not write the default
        ({MOMENTUM: "0.9997"}, [], "0.9997"),
        ({MOMENTUM: "0.9"}, [], "0.9"),
        ({MOMENTUM: "0.8"}, [], "0.9"),  # the folder bound another value, so the command is refused later
        ({}, [f"{MOMENTUM} = 0.8"], "0.8"),
    ],
)
def test_the_valid_default_is_written(silent, begun, bound, meant):
    assert bindings(parse_gin([str(silent)], bound, begun))[MOMENTUM] == meant


def test_an_unused_default_is_not_written(silent):
    assert MOMENTUM not in bindings(parse_gin([str(silent)], ["train.network = None"], {}))


def test_a_training_of_an_older_version_keeps_its_default(silent, tmp_path):
    workdir, cells = tmp_path / "run", tmp_path / "cells.textproto"
    cells.write_text(format_genotype(smallest_genotype()))
    tiny = (
        f"train.genotype={str(cells)!r}",
        "NetworkConfig.filters=4",
        "ImageData.train_split='train[:64]'",
        "ImageData.validation_examples=32",
    )
    command = ["train", f"--gin_file={silent}", f"--workdir={workdir}", "--epochs=1", *(f"--gin_param={binding}" for binding in tiny)]
    run_door(*command, f"--gin_param={MOMENTUM}=0.9997")
    config = workdir / "config.gin"
    config.write_text(config.read_text().replace(f"{MOMENTUM} = 0.9997\n", ""))
    gin.clear_config()
    run_door(*command)
    assert bindings(config.read_text())[MOMENTUM] == "0.9997"
    styles = re.findall(r'"batch_norm_momentum": ([\d.]+)', json.dumps(json.loads((workdir / "model.json").read_text())))
    assert set(styles) == {"0.9997"}


def test_rewards_of_an_older_version_have_the_former_default():
    old = {"evaluate_genotype.network": "@NetworkConfig()"}
    text = "".join(f"{name} = {value}\n" for name, value in old.items())
    for momentum, difference in (("0.9997", None), ("0.9", f"{MOMENTUM} was not bound, is 0.9")):
        for identity in _identities(f"{text}{MOMENTUM} = {momentum}\n", SearchSpace()):  # identities of the search and of its retraining
            assert identity.difference(old) == difference


@pytest.mark.parametrize(("begun", "passes"), [(None, "10"), ({}, "1")])
def test_a_policy_of_an_older_version_keeps_its_passes_and_rate(begun, passes):
    found = bindings(parse_gin(["cifar10_search.gin"], [], begun))
    assert found["PPOSearch.epochs"] == passes
    assert found["PPOSearch.learning_rate"] == "0.00035"  # bound by the recipe
