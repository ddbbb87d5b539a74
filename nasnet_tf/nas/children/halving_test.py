"""Tests of asynchronous successive halving: which children continue, and whether a search resumes exactly."""

import dataclasses
import json
import pathlib
import random

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace, genotype_hash, parse_genotype
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.halving import FOLDER, SuccessiveHalving
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import Trial, leaderboard
from nasnet_tf.testing import TINY_TEXT

SPACE = SearchSpace(num_blocks=2)
HALVING = SuccessiveHalving(rungs=3, eta=3)


class Recorder(RandomSearch):
    """Random search that records rewards: those of the first rung in `rewards`, those of later rungs in `longer`."""

    def __init__(self):
        super().__init__(SPACE, 7)
        self.rewards, self.longer = [], []

    def observe(self, observation):
        (self.longer if observation.rung else self.rewards).append(observation.reward)


def worth(text: str) -> float:
    return int(genotype_hash(parse_genotype(text))[:4], 16) / 2**17


def child(text: str, request) -> dict:
    """Resumes from the file in its folder; its accuracy grows with the fraction of the training that is done."""
    request.folder.mkdir(parents=True, exist_ok=True)
    path = request.folder / "trained"
    before = float(path.read_text()) if path.is_file() else 0.0
    assert before <= request.share  # equal if the search was killed before it recorded the result
    path.write_text(str(request.share))
    return {"reward": worth(text) + 0.4 * request.share, "metrics": {"before": before}}


def run(workdir, evaluate=child, num_trials=27, engine=InProcess, strategy=None):
    config = SearchConfig(SPACE, lambda space: strategy or Recorder(), engine, num_trials, halving=HALVING)
    return search(workdir, config, evaluate)


def test_the_best_children_continue_from_their_checkpoints(tmp_path):
    strategy = Recorder()
    trials = run(tmp_path, strategy=strategy)
    counts = [sum(len(trial.rung_rewards) > rung for trial in trials) for rung in range(3)]
    assert counts[0] == 27
    assert 9 <= counts[1] <= 14  # can exceed 9, because a child continues before all others have reached its rung
    assert 3 <= counts[2] <= 5
    best = sorted(trials, key=lambda trial: -worth(trial.text))
    assert all(len(trial.rung_rewards) >= 2 for trial in best[:9])
    assert len(best[0].rung_rewards) == 3
    assert leaderboard(trials)[0] is best[0]
    assert best[0].reward == pytest.approx(worth(best[0].text) + 0.4)
    assert best[0].metrics["before"] == pytest.approx(1 / 3)
    assert best[0].attempts == 3
    assert sorted(strategy.rewards) == sorted(trial.rung_rewards[0] for trial in trials)  # each trial once
    assert sorted(strategy.longer) == sorted(reward for trial in trials for reward in trial.rung_rewards[1:])
    left = {path.name for path in (tmp_path / FOLDER).iterdir()}
    assert left == {trial.hash for trial in trials if len(trial.rung_rewards) < 3}


def test_a_model_that_learns_from_longer_trainings_resumes_exactly(tmp_path):
    whole, cut = ModelGuided(SPACE, 7), ModelGuided(SPACE, 7)
    run(tmp_path / "whole", strategy=whole)
    run(tmp_path / "cut", strategy=ModelGuided(SPACE, 7), num_trials=15)
    run(tmp_path / "cut", strategy=cut)
    decisions = [[trial.decisions for trial in read_trials(tmp_path / name)] for name in ("whole", "cut")]
    assert decisions[0][:15] == decisions[1][:15]
    assert len(decisions[1]) == 27
    replayed = ModelGuided(SPACE, 7)
    run(tmp_path / "cut", strategy=replayed)
    assert replayed.state() == cut.state()


class Killed(Exception):
    """Stands for SIGKILL."""


class Deadly(InProcess):
    """Ends the search with Killed after `after` children."""

    after = 0

    def poll(self, timeout_seconds):
        Deadly.after -= 1
        if Deadly.after < 0:
            raise Killed
        return super().poll(timeout_seconds)


def test_a_search_killed_at_random_has_the_same_result(tmp_path):
    whole = run(tmp_path / "whole")
    rng = random.Random(3)
    while True:
        Deadly.after = rng.randrange(1, 7)
        try:
            again = run(tmp_path / "cut", engine=Deadly)
            break
        except Killed:
            continue
    assert [(trial.hash, trial.rung_rewards, trial.reward) for trial in again] == [
        (trial.hash, trial.rung_rewards, trial.reward) for trial in whole
    ]
    path = tmp_path / "whole" / NAME
    path.write_text(path.read_text()[:-20])  # a line that was cut short
    assert [trial.rung_rewards for trial in run(tmp_path / "whole")] == [trial.rung_rewards for trial in whole]
    assert run(tmp_path / "whole", num_trials=30)[:1] == read_trials(tmp_path / "whole")[:1]


def test_a_child_that_cannot_continue_keeps_its_reward(tmp_path):
    def breaks(text: str, request) -> dict:
        if request.share > 0.2:
            raise RuntimeError("no memory")
        return child(text, request)

    strategy = Recorder()
    trials = run(tmp_path, breaks, num_trials=5, strategy=strategy)
    continued = [trial for trial in trials if trial.failed_rungs]
    assert {trial.failed_rungs for trial in continued} == {3}
    assert {trial.status for trial in trials} == {"finished"}
    assert all("no memory" in trial.reason for trial in continued)
    assert continued[0].reward == continued[0].rung_rewards[0]
    assert len(strategy.rewards) == 5
    assert [trial.reward for trial in read_trials(tmp_path)] == [trial.reward for trial in trials]
    events = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert {event.get("rung") for event in events if event["event"] == "failed"} == {1}


class Leaving(InProcess):
    """The machine leaves `times` times while a child trains for a longer rung, and then no more."""

    times = 4

    def poll(self, timeout_seconds):
        (outcome,) = super().poll(timeout_seconds)
        if outcome.value["metrics"]["before"] and self.times:
            self.times -= 1
            return [dataclasses.replace(outcome, value=None, reason="its machine left the cluster", lost=True)]
        return [outcome]


def test_a_machine_that_leaves_does_not_end_a_promoted_child(tmp_path):
    (trial,) = (trial for trial in run(tmp_path, num_trials=3, engine=Leaving) if len(trial.rung_rewards) > 1)
    assert (trial.lost_rungs, trial.failed_rungs) == (4, 0)
    Leaving.times = 12
    (trial,) = (trial for trial in run(tmp_path / "for ever", num_trials=3, engine=Leaving) if trial.lost_rungs)
    assert (trial.lost_rungs, trial.rung_rewards) == (10, [trial.reward])


def test_trials_taken_over_keep_their_rungs_and_are_not_continued(tmp_path):
    earlier, strategy = run(tmp_path / "earlier"), Recorder()
    config = SearchConfig(SPACE, lambda space: strategy, InProcess, 1, halving=HALVING)
    *taken, _ = search(tmp_path / "later", config, child, take_over=[("earlier", trial) for trial in earlier])
    assert [trial.rung_rewards for trial in taken] == [trial.rung_rewards for trial in earlier]
    assert leaderboard(taken)[0].hash == leaderboard(earlier)[0].hash
    assert strategy.rewards[:-1] == [trial.rung_rewards[0] for trial in earlier]
    assert strategy.longer == [reward for trial in earlier for reward in trial.rung_rewards[1:]]
    assert HALVING.promotable(taken, ()) is None
    assert [trial.rung_rewards for trial in read_trials(tmp_path / "later")[:-1]] == [trial.rung_rewards for trial in taken]


def finished(number, *rewards):
    return Trial(number, TINY_TEXT, str(number), (), (), 0.0, "finished", max(rewards, default=None), rung_rewards=list(rewards))


def test_the_highest_rung_comes_first_and_no_trial_continues_twice():
    trials = [finished(0, 0.5, 0.6), finished(1, 0.4, 0.7), finished(2, 0.3, 0.5), finished(3, 0.2), finished(4, 0.1), finished(5, 0.05)]
    assert HALVING.promotable(trials, ()) is trials[1]  # to the last rung
    assert HALVING.promotable(trials, {1}) is None  # the best two of the first rung have already continued
    trials += [finished(number, 0.45) for number in (6, 7, 8)]
    assert HALVING.promotable(trials, {1}) is trials[6]
    assert HALVING.promotable(trials[:2], ()) is None
    requests = [HALVING.request(finished(0, *[0.5] * rung), (), pathlib.Path("w")) for rung in (0, 1, 2)]
    assert [(request.rung, request.share) for request in requests] == [(0, pytest.approx(1 / 9)), (1, pytest.approx(1 / 3)), (2, 1.0)]


def test_halving_cannot_be_combined_with_early_stopping_or_train_again(tmp_path):
    with pytest.raises(InputError, match=r"search.halving: cannot be combined with search.early_stopping"):
        SearchConfig(SPACE, lambda space: Recorder(), InProcess, 1, halving=HALVING, early_stopping=EarlyStopping())
    with pytest.raises(InputError, match=r"search.halving: cannot be combined with .* or search.train_again"):
        SearchConfig(SPACE, lambda space: Recorder(), InProcess, 1, halving=HALVING, train_again=True)
    with pytest.raises(InputError, match=r"SuccessiveHalving.eta: expected an integer of 2 or more, got 1"):
        SuccessiveHalving(eta=1)


def test_rungs_before_the_last_may_have_smaller_images(tmp_path):
    halving = SuccessiveHalving(image_sizes=(12, 16))
    assert [halving.request(finished(0, *[0.5] * rung), (), tmp_path).image_size for rung in range(3)] == [12, 16, None]
    with pytest.raises(InputError, match="image_sizes: expected 2 sizes, one per rung before the last, got 12, 16, 32"):
        SuccessiveHalving(image_sizes=(12, 16, 32))
