"""Tests that every command and function that writes refuses a bucket before it writes anything."""

import pathlib

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import load_genotype
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.table import SearchResults
from nasnet_tf.serving.exports.exporting import export
from nasnet_tf.serving.weights.convert import save_weights
from nasnet_tf.testing import JOURNAL_SPACE, run_door
from nasnet_tf.training.loop_test import DATA, dense, train
from nasnet_tf.viz.diagram import draw_genotype, save_figure

REFUSED = "^(--[a-z]+: )?gs://bucket/.* cannot be written: expected a path on a disk of this machine"


@pytest.fixture
def nothing_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ["--gin_file=digits.gin", "--workdir=gs://bucket/run"]),
        ("search", ["--gin_file=cifar10_search_small.gin", "--workdir=gs://bucket/run"]),
        ("tune", ["--gin_file=quickstart_tune.gin", "--workdir=gs://bucket/run"]),
        ("export", ["--model=mobile", "--output=gs://bucket/model"]),
        ("evaluate", ["--model=mobile", "--data=digits", "--output=gs://bucket/a.json"]),
        ("draw", ["nasnet_a", "--output=gs://bucket/a.svg"]),
    ],
)
def test_commands_refuse_the_address_of_a_bucket(command, arguments):
    with pytest.raises(InputError, match=REFUSED):
        run_door(command, *arguments)


def written(folder):
    config = SearchConfig(JOURNAL_SPACE, lambda space: RandomSearch(space, seed=1), InProcess, 1)
    network = dense(10, 8)
    return {
        "train": lambda: train(folder, network=dense),
        "search": lambda: search(folder, config, print),
        "table": lambda: SearchResults([]).to_csv(folder),
        "figure": lambda: save_figure(draw_genotype(load_genotype("nasnet_a")), folder / "a.svg"),
        "weights": lambda: save_weights(network, folder / "a.h5"),
        "export": lambda: export(network, {"task": "classification", **DATA.description()}, folder, ["keras"]),
    }


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("name", ["train", "search", "table", "figure", "weights", "export"])
def test_functions_refuse_the_address_of_a_bucket(name):
    with pytest.raises(InputError, match=REFUSED):
        written(pathlib.Path("gs://bucket/run"))[name]()
