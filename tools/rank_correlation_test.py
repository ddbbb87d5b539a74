"""Checks correlations of invented scores, from journals of commands that were killed and resumed."""

import random
import tarfile

import numpy as np
import pytest
import rank_correlation as tool
from scipy.stats import kendalltau, spearmanr

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import genotype_hash, parse_genotype
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.given import GivenOrder
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.testing import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks" / "searches.md"  # has the published tables


def number(text: str, digits: slice) -> float:
    """Returns some hexadecimal digits of the architecture's hash as a number in [0, 1)."""
    return int(genotype_hash(parse_genotype(text))[digits], 16) / 2**16


def scored(part: str, args):
    """Replaces `evaluator`: the reward is a number from the hash, plus another one with a weight that depends on the part."""

    def evaluate(text, request):
        truth, other = number(text, slice(4)), number(text, slice(4, 8))
        metrics = {"naswot": -truth, "synflow": other, "parameters": 5, "mult_adds": 7, "build_seconds": 1.0}
        metrics |= {"naswot_seconds": 0.5, "synflow_seconds": 0.25}
        weight = {"real": 0.0, "few": 0.3, "shared": 2.0, "zero_cost": 0.0, "1x4x4": 0.5, "0.5x8x4": 0.1}[part]
        return {"reward": truth + weight * other, "metrics": metrics | {"cpu_seconds": 4.0}}

    return evaluate


@pytest.fixture(autouse=True)
def pretend(monkeypatch):
    monkeypatch.setattr(tool, "evaluator", scored)


def test_the_table_shows_the_journals(tmp_path, capsys):
    command = [f"--workdir={tmp_path}", "--trainings=20"]
    tool.main(command)
    said = capsys.readouterr().out
    trials = {part: {trial.hash: trial for trial in read_trials(tmp_path / part)} for part in tool.PARTS}
    truth = [trial.reward for trial in trials["real"].values()]
    few = [trials["few"][digest].reward for digest in trials["real"]]
    rows = {line.split(" | ")[0].removeprefix("| "): line.strip("|").split(" | ") for line in said.splitlines() if line.startswith("| ")}
    assert rows["few epochs"][1:3] == ["20", f"{spearmanr(truth, few).statistic:.2f}"]
    assert rows["few epochs"][4] == f"{kendalltau(truth, few).statistic:.2f}"
    assert rows["naswot"][2:6] == ["-1.00", "-1.00 to -1.00", "-1.00", "1.50"]
    assert float(rows["shared weights"][2]) < float(rows["few epochs"][2])
    assert "20 real trainings" in said
    tool.main([*command, "--only_table"])
    assert capsys.readouterr().out in said


def test_repeating_the_command_resumes_and_extends(tmp_path, capsys):
    command = [f"--workdir={tmp_path}", "--parts", "real", "few"]
    tool.main([*command, "--trainings=4"])
    path = tmp_path / "few" / NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))  # killed
    tool.main([*command, "--trainings=6"])
    few, real = (read_trials(tmp_path / part) for part in ("few", "real"))
    assert [trial.hash for trial in few] == [trial.hash for trial in real]
    assert len(few) == 6
    tool.main([*command, "--trainings=9", "--max_minutes=0"])
    assert "real: not complete; repeat the command to resume" in capsys.readouterr().out


@pytest.fixture
def truth(tmp_path):
    """A folder as compare_searches.py writes it: a search with its longer trainings, and NASNet-A, which has no search."""
    folder, found = tmp_path / "truth", [tool.SPACE.sample(random.Random(seed)) for seed in range(13)]
    for name, chosen in (("random/0", found[:12]), ("random/0/long", found[:12]), ("nasnet_a/0/long", found[12:])):
        config = SearchConfig(tool.SPACE, lambda _, chosen=chosen: GivenOrder(chosen), InProcess, len(chosen))
        search(folder / name, config, scored("real", None))
    return folder


def test_sizes_of_child_are_ranked_by_the_longer_trainings_of_a_comparison(tmp_path, truth, capsys):
    command = [f"--workdir={tmp_path / 'scores'}", f"--truth={truth}", "--parts", "--children", "1x4x4", "0.5x8x4"]
    tool.main([*command, "--trainings=12"])
    said = capsys.readouterr().out
    long = {trial.hash: trial.reward for trial in read_trials(truth / "random/0/long")}
    child = {trial.hash: trial.reward for trial in read_trials(tmp_path / "scores" / "0.5x8x4")}
    assert child.keys() == long.keys()
    rho = spearmanr([long[each] for each in sorted(long)], [child[each] for each in sorted(long)]).statistic
    (row,) = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| 0.5x8x4")]
    assert row[1:3] == ["12", f"{rho:.2f}"]
    assert row[5:] == ["4.00", f"{tool.gain_of_a_night(rho, 4.0):.2f}"]
    assert "12 real trainings" in said
    path = tmp_path / "scores" / "1x4x4" / NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:17]))  # its first eight trials
    tool.main([*command, "--only_table"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if "x" in line.split(" | ")[0]]
    assert [row[:2] for row in rows] == [["1x4x4", "8"], ["0.5x8x4", "8"]]  # compared on the same architectures
    with pytest.raises(InputError, match="at most the 12 architectures of .*truth, got 13"):
        tool.main([*command, "--trainings=13"])


def test_the_gain_of_a_night_is_the_mean_truth_of_its_best_five():
    draws, count, rho = np.random.default_rng(0), 2000, 0.6
    scores = draws.normal(size=(400, count))
    truth = rho * scores + np.sqrt(1 - rho**2) * draws.normal(size=scores.shape)
    best = np.argsort(scores, axis=1)[:, -5:]
    expected = np.take_along_axis(truth, best, axis=1).mean()
    assert tool.gain_of_a_night(rho, tool.NIGHT_CORE_SECONDS / count) == pytest.approx(expected, abs=0.05)


def test_intervals_are_wider_for_fewer_architectures():
    rng = np.random.default_rng(1)
    real = {str(each): (rng.normal(), 1.0) for each in range(40)}
    score = {each: (value + rng.normal(), 2.0) for each, (value, _) in real.items()}
    count, rho, low, high, _, seconds = tool.correlations(real, score)
    assert (count, seconds) == (40, 2.0)
    assert low < rho < high
    few = dict(list(score.items())[:8])
    assert tool.correlations(real, few)[3] - tool.correlations(real, few)[2] > high - low


def test_the_published_table_follows_from_the_published_journals():
    made = {line.split(" | ")[0].strip("| "): line for line in tool.table(REPOSITORY / "testdata" / "rank_correlation").splitlines()[2:]}
    published = PAGE.read_text().splitlines()
    for name, called in (("few epochs", "one epoch of three"), ("shared weights", "shared weights, 4,688 steps"), ("synflow", "SynFlow")):
        line = next(line for line in published if line.startswith(f"| {called}"))
        assert line.split(" | ")[1:5] == made[name].split(" | ")[1:5]


def test_the_published_table_of_sizes_follows_from_the_published_journals(tmp_path):
    for name in ("journals", "child_sizes"):
        with tarfile.open(REPOSITORY / "testdata" / "search_comparison" / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path / name, filter="data")
    sizes = [tool.Size.parse(size) for size in ("0.5x12x8", "1x12x8", "1x12x8x0.01", "1x16x8", "2x12x8")]
    lines = tool.table(tmp_path / "child_sizes", sizes, tmp_path / "journals").splitlines()
    assert len(lines) == 2 + 2 + len(sizes)
    assert not set(lines[2:]) - set(PAGE.read_text().splitlines())
