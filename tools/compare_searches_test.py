"""Checks the comparison of searches, with children that only pretend to train."""

import itertools
import json
import tarfile

import compare_searches as tool
import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import genotype_hash, load_genotype, parse_genotype
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures
from nasnet_tf.testing import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks" / "searches.md"  # has the published tables
NASNET_A = genotype_hash(load_genotype("nasnet_a"))


class Trainings:
    """Replaces `Trainings`. The reward is a number from the architecture's hash plus the number of filters beyond 8.

    The multiply-adds are a million for each filter.
    """

    ran = 0

    def __init__(self, space, network, data, training, learning_rate):
        self._filters, self._split, self._batch_size = network.filters, data.validation_split, training.batch_size

    def with_seed(self, seed):
        def train(text, request=None):
            Trainings.ran += 1
            digest = genotype_hash(parse_genotype(text))
            reward = 0.25 if digest == NASNET_A else int(digest[:4], 16) / 2**16
            metrics = {"cpu_seconds": 2.0, "parameters": 1000 * self._filters, "mult_adds": 10**6 * self._filters}
            metrics |= {"seed": seed, "split": self._split, "batch_size": self._batch_size}
            return {"reward": reward + self._filters - 8, "metrics": metrics}

        return train


@pytest.fixture(autouse=True)
def pretend(monkeypatch):
    monkeypatch.setattr(tool, "Trainings", Trainings)


def command(folder, *more):
    return [f"--workdir={folder}", "--source=digits", "--trainings=12", *more]


def test_all_get_the_same_trainings_and_their_best_are_tested(tmp_path, capsys):
    rows = tool.main(command(tmp_path, "--seeds=2", "--matched_filters=24"))
    methods = ["random", "model-guided", tool.PUBLISHED, tool.MATCHED]
    assert [(row["method"], row["seed"]) for row in rows] == [(method, seed) for seed in range(2) for method in methods]
    trials = read_trials(tmp_path / "random" / "1")
    long = read_trials(tmp_path / "random" / "1" / "long")
    assert [trial.hash for trial in long] == [trial.hash for trial in sorted(trials, key=lambda trial: -trial.reward)[:5]]
    row = rows[4]
    assert (row["trainings"], row["core_seconds"], row["mult_adds"]) == (12, 24.0, 16e6)
    assert row["test"] == pytest.approx(np.mean([trial.reward for trial in long])) == pytest.approx(row["best_5"] + 8)
    assert row["curve"][-1] == row["best_5"]
    assert (rows[2]["test"], rows[3]["test"], rows[3]["parameters"]) == (8.25, 16.25, 24_000)
    said = capsys.readouterr().out
    assert "| random | 2 | 12 | 24 |" in said
    assert "| model-guided minus random | test | 2 |" in said
    assert "| random minus NASNet-A, wider | test | 2 |" in said
    assert json.loads((tmp_path / "summary.json").read_text()) == rows
    assert (tmp_path / "curves.svg").is_file()


def test_only_longer_trainings_see_the_test_split_and_they_begin_with_other_weights(tmp_path):
    tool.main(command(tmp_path, "--seeds=1"))
    for folder, split, batch_size, seed in (("", None, 32, 0), ("long", "test", 64, 1000)):
        metrics = [trial.metrics for trial in read_trials(tmp_path / "random" / "0" / folder)]
        assert {(each["split"], each["batch_size"], each["seed"]) for each in metrics} == {(split, batch_size, seed)}


def test_searches_share_no_architectures_and_pairs_share_the_seed_of_their_trainings(tmp_path):
    tool.main(command(tmp_path, "--seeds=3", "--trainings=30"))
    searches = {path.parent: read_trials(path.parent) for path in tmp_path.glob(f"*/?/{NAME}")}
    hashes = [trial.hash for trials in searches.values() for trial in trials]
    assert len(searches) == 6
    assert len(set(hashes)) == len(hashes) == 180
    assert all({trial.metrics["seed"] for trial in trials} == {int(folder.name)} for folder, trials in searches.items())


def test_repeating_a_killed_command_resumes(tmp_path):
    rows = tool.main(command(tmp_path, "--seeds=1"))
    path = tmp_path / "model-guided" / "0" / NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:9]))  # as if it had been killed
    (path.parent / "long" / NAME).unlink()
    (tmp_path / "random" / "0" / "long" / NAME).unlink()
    assert [row["method"] for row in tool.main(command(tmp_path, "--seeds=1", "--only_table"))] == [tool.PUBLISHED]
    ran = Trainings.ran
    assert tool.main(command(tmp_path, "--seeds=1")) == rows
    assert Trainings.ran == ran + (12 - 4) + 5 + 5
    assert tool.main(command(tmp_path, "--seeds=1")) == rows
    assert Trainings.ran == ran + 18


def test_journals_of_other_trainings_are_refused(tmp_path):
    tool.main(command(tmp_path, "--seeds=1"))
    with pytest.raises(InputError, match="child"):
        tool.main(command(tmp_path, "--seeds=1", "--child=2x12x8"))
    with pytest.raises(InputError, match="trainings"):  # the best architectures may then be others
        tool.main(command(tmp_path, "--seeds=1", "--trainings=13"))


def test_a_folder_without_journals_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected journals of complete searches"):
        tool.main(command(tmp_path, "--only_table"))


def test_methods_are_compared_seed_by_seed():
    tests = {"a": (0.51, 0.62, 0.7), "b": (0.5, 0.6, 0.69, 0.1)}  # the seed without a pair does not count
    rows = [{"method": name, "seed": seed, "test": test, "best_5": None} for name in tests for seed, test in enumerate(tests[name])]
    difference, p = np.array([1, 2, 1]), ttest_rel(tests["a"], tests["b"][:3]).pvalue
    error = difference.std(ddof=1) / 3**0.5
    assert tool.verdicts(rows, [("a", "b")]).splitlines()[2:] == [f"| a minus b | test | 3 | +1.33 | {error:.2f} | {p:.2g} |"]
    assert tool.verdicts(rows[:1] + rows[3:], [("a", "b")]) == ""  # one seed is no comparison


def test_infeasible_children_count_and_reused_rewards_do_not():
    def trial(number, reward, **more):
        metrics = {} if reward is None else {"cpu_seconds": 2.0, "parameters": 10, "mult_adds": 20}
        status = "infeasible" if reward is None else "finished"
        return Trial(number, "", str(number), (), (), 0.0, status, reward, seconds=3.0, metrics=metrics, **more)

    found = tool.row_of([trial(0, 0.5), trial(1, None), trial(2, 0.5, reused_from=0)], [trial(0, 0.7), trial(1, None)])
    assert (found["trainings"], found["core_seconds"]) == (2, 2.0 + 3.0)
    assert (found["test"], found["parameters"], found["mult_adds"]) == (0.7, 10, 20)


def test_reward_and_test_are_correlated_within_each_method_and_over_all():
    better = {"a": [[1, 3], [2, 2], [3, 1]], "b": [[4, 6], [5, 5], [6, 4]], "two are too few": [[7, 7], [8, 8]]}
    rows = [{"method": name, "retrained": pairs} for name, pairs in better.items()]
    assert tool.correlations(rows).splitlines()[2:] == ["| a | 3 | -1.00 |", "| b | 3 | -1.00 |", "| all | 8 | 0.81 |"]


@pytest.mark.parametrize(("archive", "trainings"), [("comparison", 60), ("paired", 40)])
def test_published_tables_are_made_of_the_published_journals(archive, trainings, tmp_path):
    with tarfile.open(REPOSITORY / "testdata" / "search_comparison" / f"{archive}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    rows = tool.main([f"--workdir={tmp_path}", f"--trainings={trainings}", "--only_table"])
    assert {row["method"] for row in rows} == {"random", "model-guided", tool.PUBLISHED, tool.MATCHED}
    tables = (tmp_path / "table.md").read_text().strip().split("\n\n")
    assert len(tables) == (3 if trainings == 60 else 2)  # one seed has no differences
    assert [table for table in tables if table not in PAGE.read_text()] == []


def test_the_published_figures_are_those_of_the_journals_of_2026_11_26(tmp_path):
    """P-values are from Welch's test over three seeds, for the mean of the best five children and for the mean of the longer trainings."""
    with tarfile.open(REPOSITORY / "testdata" / "search_comparison" / "journals.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    best, longer, rows = {}, {}, []
    for method in ("random", "ppo", "evolution", "one_network-screened_evolution", "nasnet_a"):
        for seed in range(3):
            folder = tmp_path / method / str(seed)
            retrained = architectures(read_trials(folder / "long"))
            longer.setdefault(method, []).append(100 * np.mean([trial.reward for trial in retrained]))
            if method != "nasnet_a":
                rewards = {trial.hash: trial.reward for trial in architectures(read_trials(folder))}
                best.setdefault(method, []).append(100 * np.mean(sorted(rewards.values())[-5:]))
                rows.append({"method": method, "retrained": [[rewards[trial.hash], trial.reward] for trial in retrained]})

    def compared(values, one, other):
        p = ttest_ind(values[one], values[other], equal_var=False).pvalue
        return f"{np.mean(values[other]) - np.mean(values[one]):.1f}", f"{p:.2f}"

    screened = "one_network-screened_evolution"
    assert compared(best, "random", "evolution") == ("2.0", "0.04")
    assert compared(best, "random", screened) == ("3.9", "0.04")
    assert compared(best, "ppo", screened) == ("1.5", "0.35")
    assert compared(best, "evolution", screened) == ("1.9", "0.16")
    assert compared(longer, "random", screened) == ("1.6", "0.09")
    assert compared(longer, "nasnet_a", screened) == ("1.6", "0.07")
    pairs = itertools.combinations(longer, 2)
    assert min(ttest_ind(longer[one], longer[other], equal_var=False).pvalue for one, other in pairs) > 0.05
    correlations = [line.strip("| ").split(" | ")[1:] for line in tool.correlations(rows).splitlines()[2:]]
    assert correlations == [["9", "0.45"], ["9", "0.83"], ["9", "0.58"], ["9", "0.29"], ["36", "0.61"]]
    text = " ".join(PAGE.read_text().split())
    assert "evolution was 2.0 points and screened evolution 3.9 points above random search (p = 0.04 for both" in text
    assert "1.5 points above PPO (p = 0.35) and 1.9 above evolution (p = 0.16)" in text
    assert "1.6 points above random search (p = 0.09) and above NASNet-A (p = 0.07)" in text
    assert "by 0.45 for random search, 0.83 for PPO, 0.58 for evolution and 0.29 for screened evolution" in text
