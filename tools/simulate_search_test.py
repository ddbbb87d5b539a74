"""Runs simulated searches of a few trials from end to end, and extends them; checks the surrogate of real journals."""

import json
import pathlib
import random
import subprocess
import sys

import numpy as np
import simulate_search

from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.ledger import Ledger
from nasnet_tf.nas.trials.trial import Trial

TOOL = pathlib.Path(__file__).with_name("simulate_search.py")


def simulate(folder, trainings, strategies=("random", "evolution_again"), *options):
    options = [f"--workdir={folder}", f"--trainings={trainings}", "--workers=8", "--seeds=1", *options, "--strategies", *strategies]
    return subprocess.run([sys.executable, str(TOOL), *options], check=False, timeout=240, capture_output=True, text=True)


def test_a_simulation_is_resumed(tmp_path):
    def run(trainings):
        result = simulate(tmp_path, trainings)
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / "summary.json").read_text()), result.stdout

    first, output = run(60)
    assert [row["strategy"] for row in first] == ["random", "evolution_again"]
    assert "Simulated, nothing was trained: rewards are the formula of --reward_seed=0; 8 workers" in output
    assert "| evolution_again | 0." in output
    assert "nothing was trained" in (tmp_path / "figure6.svg").read_text()
    before = (tmp_path / "random-0" / "journal.jsonl").read_bytes()
    second, _ = run(90)
    assert (tmp_path / "random-0" / "journal.jsonl").read_bytes().startswith(before)
    for row in second:
        curves = row["curves"]
        assert 90 - 5 <= curves["trainings"][-1] <= 90 + 8  # running children are added at the end, and failed ones are missing
        # Noise may hide the best ones, so the curve ends between the mean of random architectures, 0.9, and the maximum, 0.96.
        assert 0.905 < curves["25"][-1] < 0.96
        assert curves["25"][-1] > curves["25"][0]
    assert before.count(b'"failed"') <= 12  # of about 60 trials, of which 3% fail
    refused = simulate(tmp_path, 90, ("random",), "--reward_seed=1")
    assert refused.returncode != 0
    assert "begun with another configuration: reward_seed was 0, is 1" in refused.stderr


def trial(number, digest, reward, exact):
    return Trial(number, "", digest, (), (), 0.0, "finished", reward, metrics={"exact": exact})


def test_curves_count_each_architecture_once_and_rank_by_the_noisy_reward(monkeypatch):
    monkeypatch.setattr(simulate_search, "TOPS", (1, 2))
    trained = [trial(0, "a", 0.5, 0.1), trial(1, "b", 0.4, 0.9), trial(2, "a", 0.9, 0.1), trial(3, "c", 0.6, 0.3)]
    assert simulate_search.curves(trained) == {"trainings": [2, 3, 4], "1": [0.1, 0.1, 0.3], "2": [0.5, 0.5, 0.2]}


def test_surrogate_learns_a_linear_reward(tmp_path, capsys):
    space = SearchSpace()

    def accuracy(decisions):
        text = format_genotype(space.decode(decisions))
        return 0.3 + 0.02 * text.count("SEP_CONV_3X3") - 0.01 * text.count("CONCAT")

    book, noise = Ledger(tmp_path, space, RandomSearch(space, seed=0), Identity()), random.Random(0)
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


def test_the_surrogate_of_the_shipped_journals_is_plausible():
    paths = [TOOL.parent.parent / "testdata" / "cifar10_search" / name / "journal.jsonl" for name in ("ppo", "random")]
    space = SearchSpace()
    surrogate = simulate_search.SurrogateReward(space, paths)
    assert 0.015 < surrogate.noise < 0.035
    predicted = [surrogate(space.sample(random.Random(number))) for number in range(200)]
    assert 0.3 < np.mean(predicted) < 0.4
    assert 0.01 < np.std(predicted) < 0.04
