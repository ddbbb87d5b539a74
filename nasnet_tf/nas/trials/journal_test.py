"""Tests of the journal: recording, resuming, damage and other versions."""

import errno
import fcntl
import json
import os
import random
import re

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.nas.engines import outcome
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.events import Failed, Quarantined
from nasnet_tf.nas.trials.journal import NAME, Journal, read_identity, read_trials
from nasnet_tf.nas.trials.trial import Trial, architectures, leaderboard
from nasnet_tf.testing import JOURNAL_IDENTITY as IDENTITY
from nasnet_tf.testing import JOURNAL_SPACE as SPACE
from nasnet_tf.testing import content_of, finished, open_ledger, play


def test_outcomes_become_trials(tmp_path):
    book = open_ledger(tmp_path)
    for _ in range(4):
        book.propose()
    book.record(finished(0, 0.5))
    book.record(outcome.Outcome(1, 2.0, value={"infeasible": "the loss is nan"}))
    book.record(outcome.Outcome(2, 2.0, reason="killed"))
    book.record(finished(3, float("nan")))
    book.record(finished(0, 0.9))  # a second result is ignored
    assert [trial.number for trial in book.unfinished()] == [2]
    book.close()
    trials = read_trials(tmp_path)
    assert [trial.status for trial in trials] == ["finished", "infeasible", "failed", "infeasible"]
    assert (trials[0].reward, trials[0].metrics, trials[0].seconds) == (0.5, {"parameters": 7}, 1.5)
    assert [trials[2].reason, trials[3].reason] == ["killed", "its reward is nan, not a finite number"]
    assert read_identity(tmp_path) == IDENTITY.values


def test_three_failures_are_final(tmp_path):
    book = open_ledger(tmp_path)
    trial = book.propose()
    for attempt in range(3):
        assert book.unfinished() == [trial]
        book.record(outcome.Outcome(0, 1.0, reason=f"attempt {attempt}"))
    assert book.unfinished() == []
    assert (trial.attempts, trial.reason, trial.seconds) == (3, "attempt 2", 3.0)
    book.close()


def test_a_repeated_architecture_gets_its_earlier_reward(tmp_path):
    class Twice(RandomSearch):
        def propose(self):
            self._random.seed(1)
            return super().propose()

    book = open_ledger(tmp_path, Twice(SPACE, seed=1))
    book.propose()
    book.record(finished(0, 0.5))
    twin = book.propose()
    assert (twin.status, twin.reward, twin.seconds) == ("finished", 0.5, 0.0)
    book.close()
    assert json.loads((tmp_path / NAME).read_text().splitlines()[-1])["reused_from"] == 0


@pytest.mark.parametrize("strategy", [RandomSearch, PPOSearch])
def test_a_search_resumes_exactly_wherever_its_journal_is_cut(tmp_path, strategy):
    def play(book, until):
        while len(book.trials) < until:
            trial = book.propose()
            book.record(finished(trial.number, sum(trial.decisions) / 100))

    whole = open_ledger(tmp_path / "whole", strategy(SPACE, seed=1))
    play(whole, 30)
    whole.close()
    content = (tmp_path / "whole" / NAME).read_bytes()
    for cut in random.Random(0).sample(range(len(content)), 4):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / NAME).write_bytes(content[:cut])
        book = open_ledger(folder, strategy(SPACE, seed=1))
        for trial in book.unfinished():
            book.record(finished(trial.number, sum(trial.decisions) / 100))
        play(book, 30)
        book.close()
        assert [(t.decisions, t.log_probs, t.reward) for t in book.trials] == [(t.decisions, t.log_probs, t.reward) for t in whole.trials]


def test_foreign_and_damaged_journals_are_refused(tmp_path):
    book = open_ledger(tmp_path)
    with pytest.raises(InputError, match="another search is running in this work folder"):
        open_ledger(tmp_path)
    book.record(finished(book.propose().number, 0.5))
    book.close()
    with pytest.raises(
        InputError, match=rf"begun with another .*: seed was 1, is 2; .*search.take_over = \['{tmp_path}'\].*remove {tmp_path}"
    ):
        open_ledger(tmp_path, identity=Identity(IDENTITY.values | {"seed": "2"}))
    with pytest.raises(InputError, match="trial 0 is not what this search would have proposed"):
        open_ledger(tmp_path, RandomSearch(SPACE, seed=5))
    path = tmp_path / NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"event": "prop\n' + lines[1])
    with pytest.raises(InputError, match="line 2 is damaged"):
        open_ledger(tmp_path)
    with pytest.raises(InputError, match="holds no search; expected a file journal.jsonl"):
        read_trials(tmp_path / "elsewhere")


def test_a_checkpoint_of_a_rung_belongs_to_its_configuration(tmp_path):
    other = Identity({**IDENTITY.values, "TrainingConfig.seed": "9"})
    open_ledger(tmp_path).close()
    open_ledger(tmp_path, identity=other).close()  # nothing was trained yet
    (tmp_path / "rungs" / "abc" / "checkpoints").mkdir(parents=True)
    (tmp_path / "rungs" / "abc" / "checkpoints" / "last-3.index").touch()
    with pytest.raises(InputError, match="TrainingConfig.seed"):
        open_ledger(tmp_path)


def test_a_line_cut_short_is_removed_before_the_next_is_written(tmp_path):
    journal = Journal(tmp_path, Identity())
    journal.append(Quarantined(machine="a", reason="sick"))
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"event": "finished", "tri')
    journal = Journal(tmp_path, Identity())
    journal.append(Failed(trial=0, attempt=1, seconds=1.0, reason="killed"))
    journal.close()
    assert [json.loads(line)["event"] for line in (tmp_path / NAME).read_text().splitlines()] == ["search", "aside", "failed"]


def lines_of_small_search(folder):
    book = open_ledger(folder)
    play(book, 3)
    book.close()
    return (folder / NAME).read_bytes().splitlines(keepends=True)  # search, then proposed and finished of 0, 1, 2


def test_repeated_lines_are_ignored(tmp_path, capsys):
    lines = lines_of_small_search(tmp_path)
    (tmp_path / NAME).write_bytes(b"".join([*lines[:4], *lines[1:5], *lines[5:]]))
    book = open_ledger(tmp_path)
    book.close()
    assert content_of(book) == [(t.decisions, t.log_probs, "finished", sum(t.decisions) / 100) for t in read_trials(tmp_path)]
    assert len(book.trials) == 3
    assert capsys.readouterr().out.count("repeats an earlier line; ignored") == 3


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 2, 1, 3, 4, 5, 6], "line 2: the event 'finished' is of trial 0, which has not been proposed"),
        ([0, 1, 2, 5, 3, 4, 6], "line 4: expected a proposal of trial 1, got one of trial 2"),
        ([1, 0, 2, 3, 4, 5, 6], "line 1: expected the event 'search' in the first line"),
        ([0, 1, 2, 3, 0, 5, 6], "line 5: expected the event 'search' in the first line and nowhere else"),
    ],
)
def test_lines_in_an_impossible_order_are_refused(tmp_path, order, message):
    lines = lines_of_small_search(tmp_path)
    (tmp_path / NAME).write_bytes(b"".join(lines[place] for place in order))
    for read in (open_ledger, read_trials):
        with pytest.raises(InputError, match=message):
            read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decisions": None}, "line 4: a value has the wrong type"),
        ({"event": "won"}, "line 4: unknown event 'won'"),
        ({"trial": "one"}, r"line 4: a value has the wrong type \(trial: expected an integer, got 'one'\)"),
    ],
)
def test_lines_with_wrong_values_are_refused(tmp_path, change, message):
    lines = lines_of_small_search(tmp_path)
    lines[3] = json.dumps(json.loads(lines[3]) | change).encode() + b"\n"
    (tmp_path / NAME).write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=message):
        open_ledger(tmp_path)


def test_a_metric_of_nan_does_not_cost_the_reward(tmp_path):
    book = open_ledger(tmp_path)
    book.propose()
    book.record(outcome.Outcome(0, 1.0, value={"reward": 0.5, "metrics": {"loss": float("nan"), "parameters": 7}}))
    book.close()
    assert read_trials(tmp_path)[0].metrics == {"loss": None, "parameters": 7}


def test_an_infeasible_architecture_is_not_tried_again(tmp_path):
    class Same(RandomSearch):
        def propose(self):
            self._random.seed(1)
            return super().propose()

    book = open_ledger(tmp_path, Same(SPACE, seed=1))
    book.propose()
    book.record(outcome.Outcome(0, 1.0, value={"infeasible": "the loss is nan"}))
    twin = book.propose()
    book.close()
    assert (twin.status, twin.reason, twin.reused_from, book.num_ended) == ("infeasible", "the loss is nan", 0, 2)


def test_equal_architectures_count_once():
    def trial(number, digest, reward):
        return Trial(number, "", digest, (), (), 0.0, "finished" if reward else "failed", reward)

    trials = [trial(0, "a", 0.5), trial(1, "b", 0.9), trial(2, "b", 0.9), trial(3, "c", None), trial(4, "d", 0.5)]
    assert [trial.number for trial in architectures(trials)] == [0, 1, 4]
    assert [trial.number for trial in leaderboard(trials)] == [1, 0, 4]
    predicted = trial(5, "e", 0.8)
    predicted.metrics = {"stopped_epoch": 2}
    assert [trial.number for trial in architectures([predicted, trial(6, "e", 0.3), trial(7, "e", 0.9)])] == [6]


def test_a_journal_of_another_version_is_reported_and_resumed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nasnet_tf.nas.trials.journal.__version__", "0.1.9")
    lines_of_small_search(tmp_path)
    monkeypatch.undo()
    book = open_ledger(tmp_path, RandomSearch(SPACE, seed=5))  # stands for the other proposals of another version
    book.close()
    assert len(book.trials) == 3
    output = capsys.readouterr().out
    assert "begun with nasnet_tf 0.1.9, continued with " in output
    assert output.count(": the search was begun with another version; ") == 1


def test_a_file_system_without_locks_is_not_taken_for_another_search(tmp_path, capsys, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    open_ledger(tmp_path).close()
    assert "cannot be locked (No locks available); make sure that no other process works in this folder" in capsys.readouterr().err


def test_each_line_is_on_disk_before_anything_acts_on_it(tmp_path, monkeypatch):
    """The new folders and the name of the file are synced too."""
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")) or fsync(descriptor))
    folder = tmp_path / "new" / "newer"
    journal = Journal(folder, Identity())
    assert {str(tmp_path), str(tmp_path / "new"), str(folder)} <= set(synced)
    for event in range(3):
        synced.clear()
        journal.append(Failed(trial=event, attempt=1, seconds=1.0, reason="killed"))
        assert synced == [str(folder / NAME)]
    journal.close()


@pytest.mark.parametrize(
    ("first", "reward", "message"),
    [
        ({"event": "search"}, 0.5, "line 1: expected an object 'identity' that identifies the search, got None"),
        ({"event": "search", "identity": {}}, "a", "line 3: reward of trial 0: expected a number, got 'a'"),
    ],
)
def test_a_wrong_identity_and_a_wrong_reward_are_refused(tmp_path, first, reward, message):
    proposed = {"event": "proposed", "time": 1.0, "trial": 0, "genotype": "", "hash": "a", "decisions": [0], "log_probs": []}
    finished = {"event": "finished", "time": 2.0, "trial": 0, "attempt": 1, "reward": reward, "seconds": 1.0, "metrics": {}}
    (tmp_path / NAME).write_text("".join(json.dumps(row) + "\n" for row in (first, proposed, finished)))
    with pytest.raises(InputError, match=message):
        read_trials(tmp_path)


def test_a_full_disk_is_reported_with_the_name_of_the_journal(tmp_path):
    book = open_ledger(tmp_path)
    book.propose()
    file = book._journal._file
    with (
        open("/dev/full", "ab", buffering=0) as book._journal._file,
        pytest.raises(OSError, match=re.escape(f"{tmp_path / NAME} cannot be written (No space left on device)")),
    ):
        book.record(finished(0, 0.5))
    book.close()
    file.close()
