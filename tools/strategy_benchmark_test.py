"""Plays games on a complete table and a small surrogate whose best architectures are known."""

import argparse
import csv
import itertools
import json

import architecture_tables as tables
import numpy as np
import pytest
import strategy_benchmark as tool

from nasnet_tf.nas.strategies.graph_features import GraphFeatures
from nasnet_tf.nas.strategies.random_search import RandomSearch

NAMES = tables.NasBench201Space.NAMES
VALUE = {"none": 0.0, "skip_connect": 2.0, "nor_conv_1x1": 4.0, "nor_conv_3x3": 6.0, "avg_pool_3x3": 1.0}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A complete table in which each operation adds a fixed value, and long trainings are 10 points better than short ones."""
    path = tmp_path_factory.mktemp("table") / "cells.csv"
    edges = [f"edge_{source}_{target}" for source, target in tables.NasBench201Space.EDGES]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*edges, "validation_12_epochs", "test_200_epochs"])
        for cell in itertools.product(NAMES, repeat=6):
            short = 40 + sum(map(VALUE.get, cell))
            writer.writerow([*cell, short, short + 10])
    return path


def test_the_model_finds_the_best_of_a_complete_table(complete):
    table = tables.NasBench201(complete)
    best = (NAMES.index("nor_conv_3x3"),) * 6
    assert table.best == table.truth(best) == 86.0
    assert table.reward(best, None) == pytest.approx(0.76)
    games = {name: tool.play("nasbench201", (str(complete),), name, 0, 60, 0) for name in ("random", "model_guided", "local_search")}
    regrets = {name: table.best - game["curves"]["best"][-1] for name, game in games.items()}
    assert regrets["model_guided"] == 0.0
    assert regrets["local_search"] < regrets["random"]
    assert all(len(game["curves"]["top"]) == 60 for game in games.values())
    assert all(np.diff(game["curves"]["best"]).min() >= 0 for game in games.values())  # these rewards have no noise


def test_bindings_of_ppo_are_strategies(complete):
    table = tables.NasBench201(complete)
    strategy = tool.strategy_of("ppo:epochs=2,learning_rate=0.01")(table, 3)
    assert (strategy.epochs, strategy.learning_rate, strategy.seed) == (2, 0.01, 3)
    for wrong in ("pppo", "ppo:passes=2", "ppo:epochs"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected one of random, .*ppo:epochs=1,learning_rate=0.00035; got"):
            tool.strategy_of(wrong)


def test_the_front_is_measured_and_improved(complete):
    table = tables.NasBench201(complete)
    assert tool.front_area(table.all) == max(tool.front_area(table.all), tool.front_area(table.all[:500]))
    assert table.cost((NAMES.index("nor_conv_3x3"),) * 6) == 55
    fronts = {
        name: tool.play("nasbench201", (str(complete),), name, 0, 60, 0)["curves"]["front"] for name in ("random", "model_guided_front")
    }
    assert len(fronts["random"]) == 2  # after 25 and 50 trainings
    assert fronts["model_guided_front"][1] > fronts["random"][1]


def test_rewards_arrive_late(complete, monkeypatch):
    """With a delay of 3, four proposals are made before the first reward."""
    seen = []

    class Noted(RandomSearch):
        def propose(self):
            seen.append("propose")
            return super().propose()

        def feedback(self, proposal, reward):
            seen.append("feedback")

    monkeypatch.setitem(tool.STRATEGIES, "random", lambda table, seed: Noted(table.space, seed))
    tool.play("nasbench201", (str(complete),), "random", 0, 6, 3)
    assert seen[:6] == ["propose"] * 4 + ["feedback", "propose"]


def test_a_surrogate_learns_the_truth_and_adds_noise():
    space = tables.SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3"), combines=("ADD",), fixed_reduction="nasnet_a")
    rng = tables.random.Random(0)
    decisions = [space.sample(rng) for _ in range(200)]
    features = GraphFeatures(space)
    column = features.names.index("SEP_CONV_3X3 reading an input")
    accuracies = 80 + 3 * features(decisions)[:, column] + np.random.RandomState(0).randn(200)
    surrogate = tables.Surrogate(space, decisions, accuracies)
    assert surrogate.r2 > 0.6
    truths = [surrogate.truth(each) for each in decisions]
    assert np.corrcoef(truths, accuracies)[0, 1] > 0.8
    draws = tables.random.Random(1)
    rewards = [100 * surrogate.reward(decisions[0], draws) for _ in range(200)]
    assert 0.3 < np.std(rewards) < 3
    assert np.mean(rewards) == pytest.approx(truths[0], abs=0.5)


def test_a_benchmark_resumes_and_summarizes_its_games(complete, tmp_path, capsys):
    arguments = [f"--workdir={tmp_path}", f"--nasbench201={complete}", "--strategies", "random", "model_guided", "--trainings=30"]
    tool.main([*arguments, "--seeds=1"])
    first = (tmp_path / "games.jsonl").read_text()
    (tmp_path / "games.jsonl").write_text(first + first[:40])  # the last line was cut short by a kill
    found = tool.main([*arguments, "--seeds=2"])
    games = (tmp_path / "games.jsonl").read_text()
    assert games.startswith(first)
    assert len(games.splitlines()) == 4
    rows = [json.loads(line) for line in games.splitlines()]
    mine = [86.0 - row["curves"]["best"][24] for row in rows if row["strategy"] == "random"]
    row = next(each for each in found if each["strategy"] == "random" and each["measure"] == "regret")
    assert row["mean"][25] == pytest.approx(np.mean(mine), abs=1e-6)
    assert row["error"][25] == pytest.approx(np.std(mine, ddof=1) / np.sqrt(2), abs=1e-6)
    top = next(each for each in found if each["strategy"] == "random" and each["measure"] == "best five")
    assert top["mean"][25] == pytest.approx(np.mean([row["curves"]["top"][24] for row in rows if row["strategy"] == "random"]), abs=1e-6)
    assert "| nasbench201 | regret | 0 | model_guided |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "curves.svg").is_file()
