"""A simulated search of a few trials, from end to end, killed and gone on with."""

import json
import pathlib
import random
import subprocess
import sys

import numpy as np
import simulate_search

from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.nas.engines import Outcome
from nasnet_tf.nas.ledger import Ledger
from nasnet_tf.nas.strategies import RandomSearch

TOOL = pathlib.Path(__file__).with_name("simulate_search.py")


def test_simulates_and_goes_on(tmp_path):
    def run(trials):
        options = [f"--workdir={tmp_path}", f"--trials={trials}", "--workers=8", "--seeds=1", "--strategies", "random", "evolution"]
        subprocess.run([sys.executable, str(TOOL), *options], check=True, timeout=240, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads((tmp_path / "summary.json").read_text())

    first = run(60)
    assert [row["strategy"] for row in first] == ["random", "evolution"]
    assert (tmp_path / "figure6.svg").stat().st_size > 1000
    before = (tmp_path / "random-0" / "journal.jsonl").read_bytes()
    second = run(90)
    assert (tmp_path / "random-0" / "journal.jsonl").read_bytes().startswith(before)
    for row in second:
        curves = row["curves"]
        assert curves["trials"][-1] <= 90
        assert curves["1"][0] >= curves["25"][0]
        assert 0.7 < curves["25"][-1] < 1.0
    assert before.count(b'"failed"') <= 12  # of about 60, at three in a hundred


def test_surrogate_finds_out_what_counts(tmp_path, capsys):
    space = SearchSpace()

    def accuracy(decisions):
        text = format_genotype(space.decode(decisions))
        return 0.3 + 0.02 * text.count("SEP_CONV_3X3") - 0.01 * text.count("CONCAT")

    book, noise = Ledger(tmp_path, space, RandomSearch(space, seed=0), {}), random.Random(0)
    for number in range(300):
        reward = accuracy(book.propose().decisions) + noise.gauss(0, 0.01)
        book.record(Outcome(number, 1.0, value={"reward": reward}))
    book.close()
    surrogate = simulate_search.SurrogateReward(space, [tmp_path / "journal.jsonl"])
    assert 0.008 < surrogate.noise < 0.013
    assert "surrogate of 300 trials: explains " in capsys.readouterr().out
    fresh = [space.sample(random.Random(number)) for number in range(50)]
    errors = [surrogate(decisions) - accuracy(decisions) for decisions in fresh]
    assert np.sqrt(np.mean(np.square(errors))) < 0.006 < np.std([accuracy(decisions) for decisions in fresh]) / 3


def test_surrogate_of_the_shipped_journals():
    paths = [TOOL.parent.parent / "testdata" / "cifar10_search" / name / "journal.jsonl" for name in ("ppo", "random")]
    space = SearchSpace()
    surrogate = simulate_search.SurrogateReward(space, paths)
    assert 0.015 < surrogate.noise < 0.035
    predicted = [surrogate(space.sample(random.Random(number))) for number in range(200)]
    assert 0.3 < np.mean(predicted) < 0.4
    assert 0.01 < np.std(predicted) < 0.04
