"""The comparison, with children that only pretend to train."""

import json
import tarfile

import compare_searches as tool
import pytest

from nasnet_tf.genotype import genotype_hash, parse_genotype
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.testing import REPOSITORY


class Engine(InProcess):
    """Each child takes six minutes, they say."""

    ran = 0

    def __init__(self, *numbers):
        super().__init__()

    def poll(self, timeout_seconds):
        Engine.ran += 1
        return [Outcome(outcome.key, 360.0, outcome.value) for outcome in super().poll(timeout_seconds)]


class Child:
    def __init__(self, args, is_long, seed, folder=None, is_published=False):
        self._is_long, self._is_published = is_long, is_published

    def __call__(self, text, request=None):
        worth = int(genotype_hash(parse_genotype(text))[:4], 16) / 2**17
        return {"reward": 0.25 if self._is_published else worth + 0.4 * self._is_long, "metrics": {}}


@pytest.fixture(autouse=True)
def pretend(monkeypatch):
    monkeypatch.setattr(tool, "LocalPool", Engine)
    monkeypatch.setattr(tool, "Child", Child)
    monkeypatch.setattr(tool, "measured", lambda folder: {"accuracy": int(folder.name[:4], 16) / 2**17})


def test_all_get_the_same_hours_and_their_winners_the_same_training(tmp_path, capsys):
    command = [f"--workdir={tmp_path}", "--core_hours=0.8", "--seeds=2", "--methods", "random", "evolution"]
    rows = tool.main(command)
    assert [row["method"] for row in rows] == ["nasnet_a", "random", "evolution"] * 2
    assert [row["child_hours"] for row in rows[1:3]] == [pytest.approx(0.8)] * 2
    trials = read_trials(tmp_path / "random" / "0")
    assert len(trials) == 8
    long = read_trials(tmp_path / "random" / "0" / "long")
    best = sorted(trials, key=lambda trial: -trial.reward)[:3]
    assert [trial.hash for trial in long] == [trial.hash for trial in best]
    assert rows[1]["validation"] == max(trial.reward for trial in long) == pytest.approx(best[0].reward + 0.4)
    assert rows[0]["validation"] == 0.25
    assert rows[1]["test"] == pytest.approx(best[0].reward)  # of the one that validates best
    assert rows[1]["curve"][0] == (pytest.approx(0.5), pytest.approx(sum(trial.reward for trial in trials[:5]) / 5))
    assert rows[1]["curve"][-1][1] == rows[1]["best_5"] == pytest.approx(sum(sorted(trial.reward for trial in trials)[-5:]) / 5)
    said = capsys.readouterr().out
    assert "| random | 2 | 0.80 ± 0.00 | 8, 8 |" in said
    assert "evolution minus random, test: " in said
    assert rows[1]["retrained"] == pytest.approx(sum(trial.reward for trial in long) / 3)
    assert json.loads((tmp_path / "summary.json").read_text())[0]["method"] == "nasnet_a"
    assert (tmp_path / "curves.svg").is_file()
    ran = Engine.ran
    assert len(tool.main(command)) == 6
    assert Engine.ran == ran


def test_children_on_one_network_are_scored_in_the_searching_process(tmp_path, monkeypatch):
    made = []

    class OneNetwork(Child):
        def __init__(self, space, network, data, training, learning_rate):
            made.append((space, network.filters, training.epochs))
            super().__init__(None, is_long=False, seed=0)

    monkeypatch.setattr("nasnet_tf.nas.children.space_training.SpaceChildren", OneNetwork)
    monkeypatch.setattr(tool, "InProcess", Engine)
    rows = tool.main([f"--workdir={tmp_path}", "--core_hours=0.5", "--seeds=1", "--filters=6", "--methods", "one network, random"])
    assert [row["method"] for row in rows] == ["nasnet_a", "one network, random"]
    assert made == [(tool.SPACE, 6, 1)]
    assert len(read_trials(tmp_path / "one_network-random" / "0")) == 5


def test_it_goes_on_where_it_was_stopped(tmp_path):
    command = [f"--workdir={tmp_path}", "--core_hours=0.5", "--seeds=1", "--methods", "random"]
    assert tool.main([*command, "--max_minutes=0"]) == []
    path = tmp_path / "random" / "0" / NAME
    rows = tool.main(command)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]))  # as if it had been killed
    for test in tmp_path.glob("random/0/long"):
        for file in test.iterdir():
            file.unlink()
        test.rmdir()
    assert [row["validation"] for row in tool.main(command)] == [row["validation"] for row in rows]


def test_the_verdict_counts_standard_errors():
    rows = [{"method": name, "test": test} for name, tests in (("a", (0.5, 0.52)), ("b", (0.4, 0.42))) for test in tests]
    assert tool.verdict(rows, "a", "b") == "a minus b, test: +0.1000, +7.1 standard errors"
    assert "too few" in tool.verdict(rows[:3], "a", "b")


def test_the_published_table_is_made_of_the_published_journals(tmp_path, capsys):
    kept = REPOSITORY / "testdata" / "search_comparison"
    with tarfile.open(kept / "journals.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    numbers = ["--validation_examples=1000", "--image_size=12", "--examples=2560", "--epochs=1", "--long_examples=20000", "--long_epochs=2"]
    methods = ["random", "ppo", "evolution", "one network, screened evolution"]
    rows = tool.main([f"--workdir={tmp_path}", "--core_hours=0.25", *numbers, "--methods", *methods])
    summary = json.loads((kept / "summary.json").read_text())
    assert json.loads(json.dumps(rows)) == summary
    published = (REPOSITORY / "BENCHMARKS.md").read_text().splitlines()
    lines = tool.table(rows).splitlines()
    assert len(lines) == 2 + 1 + len(methods)
    assert not set(lines[2:]) - set(published)
    assert "one network, screened evolution minus random, retrained: +0.0160, +2.3 standard errors" in capsys.readouterr().out
