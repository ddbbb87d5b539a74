"""The journal survives being cut short, and refuses what it should."""

import json
import random

import pytest

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import engines, ledger
from nasnet_tf.nas.journal import NAME, Journal, read_identity, read_trials
from nasnet_tf.nas.strategies import PPOSearch, RandomSearch

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
IDENTITY = {"seed": "1", "space": "small"}


def open_ledger(workdir, strategy=None, identity=IDENTITY):
    return ledger.Ledger(workdir, SPACE, strategy or RandomSearch(SPACE, seed=1), identity)


def finished(key, reward):
    return engines.Outcome(key, 1.5, value={"reward": reward, "metrics": {"parameters": 7}})


def test_outcomes_become_trials(tmp_path):
    book = open_ledger(tmp_path)
    for _ in range(4):
        book.propose()
    book.record(finished(0, 0.5))
    book.record(engines.Outcome(1, 2.0, value={"infeasible": "the loss is nan"}))
    book.record(engines.Outcome(2, 2.0, reason="killed"))
    book.record(finished(3, float("nan")))
    book.record(finished(0, 0.9))  # late and double: ignored
    assert [trial.number for trial in book.unfinished()] == [2]
    book.close()
    trials = read_trials(tmp_path)
    assert [trial.status for trial in trials] == ["finished", "infeasible", "failed", "infeasible"]
    assert (trials[0].reward, trials[0].metrics, trials[0].seconds) == (0.5, {"parameters": 7}, 1.5)
    assert [trials[2].reason, trials[3].reason] == ["killed", "its reward is nan, not a finite number"]
    assert read_identity(tmp_path) == IDENTITY


def test_three_failures_are_final(tmp_path):
    book = open_ledger(tmp_path)
    trial = book.propose()
    for attempt in range(3):
        assert book.unfinished() == [trial]
        book.record(engines.Outcome(0, 1.0, reason=f"attempt {attempt}"))
    assert book.unfinished() == []
    assert (trial.attempts, trial.reason, trial.seconds) == (3, "attempt 2", 3.0)
    book.close()


def test_an_architecture_is_rewarded_from_memory_the_second_time(tmp_path):
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
def test_a_search_cut_anywhere_goes_on_as_if_it_had_not_been(tmp_path, strategy):
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


def test_refusals(tmp_path):
    book = open_ledger(tmp_path)
    with pytest.raises(InputError, match="another search is running in this work folder"):
        open_ledger(tmp_path)
    book.propose()
    book.close()
    with pytest.raises(InputError, match="holds another search: seed was '1', is '2'"):
        open_ledger(tmp_path, identity=IDENTITY | {"seed": "2"})
    with pytest.raises(InputError, match="trial 0 is not what this search would have proposed"):
        open_ledger(tmp_path, RandomSearch(SPACE, seed=5))
    path = tmp_path / NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"event": "prop\n' + lines[1])
    with pytest.raises(InputError, match="line 2 is damaged"):
        open_ledger(tmp_path)
    with pytest.raises(InputError, match="holds no search; expected a file journal.jsonl"):
        read_trials(tmp_path / "elsewhere")


def test_a_line_cut_short_is_removed_before_the_next_is_written(tmp_path):
    journal = Journal(tmp_path, {})
    journal.append("proposed", trial=0)
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"event": "finished", "tri')
    journal = Journal(tmp_path, {})
    journal.append("failed", trial=0)
    journal.close()
    assert [json.loads(line)["event"] for line in (tmp_path / NAME).read_text().splitlines()] == ["search", "proposed", "failed"]
