"""Tests of the results of a search for other programs."""

import csv
import functools
import json

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.table import expected_gain_of, read_search

SPACE = SearchSpace(num_blocks=2)


def child(text: str, request) -> dict:
    if "trial_1" in text:
        return {"infeasible": "too large, by far"}
    return {"reward": 0.5, "metrics": {"mult_adds": 7, "curve": [0.1, 0.5], "reason": "none"}}


def test_a_list_a_table_and_csv(tmp_path):
    import nasnet_tf

    search(tmp_path, SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), InProcess, 3), child)
    assert nasnet_tf.read_search is read_search
    results = read_search(str(tmp_path))
    assert [trial.status for trial in results] == ["finished", "infeasible", "finished"]
    table = results.table()
    assert {len(column) for column in table.values()} == {3}
    assert table["reward"] == [0.5, None, 0.5]
    assert table["mult_adds"] == [7, None, 7]
    assert table["metric_reason"] == ["none", None, "none"]  # the trial has a reason of its own
    assert table["reason"] == ["", "too large, by far", ""]
    results.to_csv(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(table)
    assert rows[1]["reward"] == ""
    assert rows[1]["reason"] == "too large, by far"
    assert json.loads(rows[0]["curve"]) == [0.1, 0.5]
    assert rows[2]["genotype"] == results[2].text


def rewarded_child(text: str, request) -> dict:
    """Rewards each separable convolution."""
    return {"reward": 0.5 + 0.02 * text.count("SEP_CONV")}


def test_the_importance_of_a_search_finds_the_best_operation(tmp_path):
    space = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
    identity = Identity({"SearchSpace.num_blocks": "2", "SearchSpace.operations": repr(space.operations)})
    search(tmp_path, SearchConfig(space, functools.partial(RandomSearch, seed=1), InProcess, 60), rewarded_child, identity)
    found = read_search(tmp_path).importance()
    assert found.knows_something
    assert found.effects[0].choice.endswith("SEP_CONV_3X3")
    assert found.effects[0].mean < -2 * found.effects[0].error  # fewer errors
    assert "SEP_CONV_3X3" in str(found)
    results = read_search(tmp_path)
    assert 0 < expected_gain_of(space, results, 100) < 0.2
    assert expected_gain_of(space, results[:5], 100) is None


def test_importance_needs_the_space(tmp_path):
    search(tmp_path, SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), InProcess, 12), rewarded_child)
    with pytest.raises(InputError, match="do not belong to the space in its first line"):
        read_search(tmp_path).importance()
