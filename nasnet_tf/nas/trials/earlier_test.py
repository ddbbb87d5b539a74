"""Tests of searches that start from seeds, from trials of other searches, or from a prior."""

import json
import random

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype, genotype_hash, load_genotype, parse_genotype
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.given import Seeded, seeds_of
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.earlier import PRIOR_NAME, read_prior, trials_of
from nasnet_tf.nas.trials.journal import NAME, read_trials

SPACE = SearchSpace()
TASK = Identity({"ImageData.source": "'cifar10'"})


def child(text: str, request) -> dict:
    return {"reward": int(genotype_hash(parse_genotype(text))[:4], 16) / 2**16, "metrics": {"mult_adds": 5}}


def evolution() -> RegularizedEvolution:
    return RegularizedEvolution(SPACE, seed=3, population=4, tournament=2)


def run(workdir, strategy, num_trials=8, identity=TASK, take_over=()):
    return search(workdir, SearchConfig(SPACE, lambda space: strategy, InProcess, num_trials), child, identity, take_over)


def task_with(**more):
    """Returns the identity of the same task with more bindings; those of seeds may differ between searches."""
    return Identity({**TASK.values, **{name.replace("__", "."): value for name, value in more.items()}}, ("*.seed",))


def test_seeds_are_tried_first_and_count_for_the_strategy(tmp_path, capsys):
    own = SPACE.decode(SPACE.sample(random.Random(5)), name="own")
    (tmp_path / "own.textproto").write_text(format_genotype(own))
    seeds = seeds_of(SPACE, ["nasnet_a", str(tmp_path / "own.textproto")])
    assert "nasnet_a" in (said := capsys.readouterr().out)
    assert "own.textproto" not in said  # the space contains it
    trials = run(tmp_path / "whole", Seeded(evolution(), seeds))
    assert [trial.decisions for trial in trials[:2]] == seeds
    assert trials[0].genotype.normal_cell.blocks == load_genotype("nasnet_a").normal_cell.blocks
    assert trials[1].hash == genotype_hash(own)
    # The two seeds count toward the population of four, so the fifth trial is a mutation.
    parents = {trial.decisions for trial in trials[:4]}
    assert any(sum(a != b for a, b in zip(trials[4].decisions, parent, strict=True)) <= 1 for parent in parents)
    run(tmp_path / "cut", Seeded(evolution(), seeds), num_trials=1)  # interrupted between the seeds
    run(tmp_path / "cut", Seeded(evolution(), seeds), num_trials=3)
    again = run(tmp_path / "cut", Seeded(evolution(), seeds))
    assert [trial.decisions for trial in again] == [trial.decisions for trial in trials]


def test_a_state_knows_which_seed_is_next():
    seeds = [SPACE.sample(random.Random(number)) for number in range(3)]
    one, other = Seeded(evolution(), seeds), Seeded(evolution(), seeds)
    one.feedback(one.propose(), 0.5)
    other.restore(one.state())
    assert [other.propose() for _ in range(4)] == [one.propose() for _ in range(4)]
    assert other.state() == one.state()


def test_ppo_learns_from_a_seed_with_the_probabilities_of_its_policy(tmp_path):
    from nasnet_tf.nas.strategies.ppo_search import PPOSearch

    (seed,) = seeds_of(SPACE, ["nasnet_a"])

    def ppo():
        return Seeded(PPOSearch(SPACE, seed=1, minibatch=2, hidden_units=4), [seed])

    trials = run(tmp_path, ppo(), num_trials=3)
    assert len(trials[0].log_probs) == 50
    assert max(trials[0].log_probs) < 0
    assert len(run(tmp_path, ppo(), num_trials=5)) == 5  # replayed
    lines = (tmp_path / NAME).read_text().splitlines()
    event = json.loads(lines[1])
    event["log_probs"][0] += 1e-4  # as another machine would round
    (tmp_path / NAME).write_text("\n".join([lines[0], json.dumps(event), *lines[2:]]) + "\n")
    assert len(run(tmp_path, ppo(), num_trials=6)) == 6
    event["log_probs"][0] += 1.0
    (tmp_path / NAME).write_text("\n".join([lines[0], json.dumps(event), *lines[2:]]) + "\n")
    with pytest.raises(InputError, match="not what this search would have proposed"):
        run(tmp_path, ppo(), num_trials=6)


def test_trials_of_an_old_search_are_taken_over_as_rewarded_proposals(tmp_path):
    old = run(tmp_path / "old", RandomSearch(SPACE, 1), identity=task_with(RandomSearch__seed="1"))

    def go(num_trials):
        others = trials_of([str(tmp_path / "old")], task_with(RegularizedEvolution__seed="3"), SPACE)
        return run(tmp_path / "new", evolution(), num_trials, take_over=others)

    trials = go(2)
    assert len(trials) == 10
    assert [(trial.decisions, trial.reward, trial.metrics) for trial in trials[:8]] == [(t.decisions, t.reward, t.metrics) for t in old]
    assert {trial.taken_from for trial in trials[:8]} == {str(tmp_path / "old")}
    assert sum(trial.seconds for trial in trials[:8]) == 0
    # The population is full from the first proposal on.
    assert any(sum(a != b for a, b in zip(trials[8].decisions, parent.decisions, strict=True)) <= 1 for parent in trials[4:8])
    run(tmp_path / "old", RandomSearch(SPACE, 1), num_trials=12, identity=task_with(RandomSearch__seed="1"))
    assert len(go(4)) == 12  # the trials that were taken over do not change


def test_an_interrupted_takeover_is_completed(tmp_path):
    run(tmp_path / "old", RandomSearch(SPACE, 1))
    whole = run(tmp_path / "new", evolution(), 3, take_over=trials_of([str(tmp_path / "old")], TASK, SPACE))
    path = tmp_path / "new" / NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]) + '{"event": "tak')
    again = run(tmp_path / "new", evolution(), 3, take_over=trials_of([str(tmp_path / "old")], TASK, SPACE))
    assert [trial.decisions for trial in again] == [trial.decisions for trial in whole]


def test_trials_of_another_task_or_space_are_not_taken(tmp_path, capsys):
    run(tmp_path / "old", RandomSearch(SPACE, 1), num_trials=2)
    with pytest.raises(InputError, match="no trial fits this search: .* another task: ImageData.source was 'cifar10', is 'digits' here"):
        list(trials_of([str(tmp_path / "old")], Identity({"ImageData.source": "'digits'"}), SPACE))
    with pytest.raises(
        InputError, match=r"no trial fits this search: 2 of the 2 architectures of .*: .*expected 2 input states, 2 normal and 2 reduction"
    ):
        list(trials_of([str(tmp_path / "old")], TASK, SearchSpace(num_blocks=2)))
    assert capsys.readouterr().out == ""


def test_fitting_trials_are_taken_and_the_others_are_reported(tmp_path, capsys):
    run(tmp_path / "old", RandomSearch(SPACE, 1), num_trials=30)
    run(tmp_path / "digits", RandomSearch(SPACE, 2), num_trials=2, identity=Identity({"ImageData.source": "'digits'"}))
    smaller = SearchSpace(operations=tuple(name for name in SPACE.operations if name != "CONV_1X1"))
    here = Identity({**TASK.values, "SearchSpace.operations": repr(smaller.operations)})
    taken = list(trials_of([str(tmp_path / "old"), str(tmp_path / "digits")], here, smaller))
    fitting = [trial for trial in read_trials(tmp_path / "old") if "CONV_1X1 " not in trial.text]
    assert [trial.number for _, trial in taken] == [trial.number for trial in fitting]
    assert 0 < len(taken) < 30
    said = capsys.readouterr().out
    assert f"left out: {30 - len(taken)} of the 30 architectures of {tmp_path / 'old'}: " in said
    assert f"left out: the trials of {tmp_path / 'digits'} are for another task: ImageData.source was 'digits', is 'cifar10' here" in said


def test_a_prior_is_kept_in_the_work_folder(tmp_path, capsys):
    run(tmp_path / "old", RandomSearch(SPACE, 1), num_trials=100)
    (tmp_path / "new").mkdir()
    smaller = SearchSpace(operations=tuple(name for name in SPACE.operations if name != "CONV_1X1"))
    ((decisions, rewards),) = read_prior([str(tmp_path / "old")], smaller, tmp_path / "new")
    assert len(decisions) == len(rewards) >= 10
    assert f"search.prior: left out: {100 - len(decisions)} of the 100 architectures" in capsys.readouterr().out
    (tmp_path / "old" / NAME).unlink()
    assert read_prior([str(tmp_path / "old")], smaller, tmp_path / "new") == [(decisions, rewards)]
    run(tmp_path / "other", RandomSearch(SPACE, 2), num_trials=12)
    both = [str(tmp_path / "other"), str(tmp_path / "other")]  # the binding was changed before the first reward
    assert [len(rewards) for _, rewards in read_prior(both, SPACE, tmp_path / "new")] == [12, 12]
    kept = {"folders": both, "decisions": decisions, "rewards": rewards}  # as version 0.3.0 wrote it
    (tmp_path / "new" / PRIOR_NAME).write_text(json.dumps(kept))
    assert read_prior(both, SPACE, tmp_path / "new") == [(decisions, rewards)]
    (tmp_path / "new" / PRIOR_NAME).write_text("{}")
    with pytest.raises(InputError, match="prior.json: damaged"):
        read_prior([str(tmp_path / "other")], SPACE, tmp_path / "new")
    run(tmp_path / "few", RandomSearch(SPACE, 1), num_trials=3)
    with pytest.raises(InputError, match="search.prior: expected at least 10 architectures of this space, got 3"):
        read_prior([str(tmp_path / "few")], SPACE, tmp_path)
