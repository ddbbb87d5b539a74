"""Tests that a strategy is restored from snapshots or from the whole journal, and that each of its updates is logged once."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.trials import ledger
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.testing import JOURNAL_SPACE as SPACE
from nasnet_tf.testing import content_of, open_ledger, play


@pytest.fixture
def frequent_snapshots(monkeypatch):
    monkeypatch.setattr(ledger, "_SNAPSHOT_EVERY_ROWS", 16)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The path of a work folder with 45 trials and frequent snapshots, and the content of its trials after 70."""
    folder, twin = (tmp_path_factory.mktemp(name) for name in ("original", "undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_SNAPSHOT_EVERY_ROWS", 16)
        book = open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8))
        play(book, 45)
        book.close()
        shutil.copytree(folder, twin, dirs_exist_ok=True)
        book = open_ledger(twin, PPOSearch(SPACE, seed=1, minibatch=8))
        play(book, 70)
        book.close()
    return folder, content_of(book)


@pytest.fixture
def searched(original, tmp_path, frequent_snapshots):
    """A copy of the folder that a test can damage, and the content of its trials after 70."""
    folder, expected = original
    return pathlib.Path(shutil.copytree(folder, tmp_path / "searched")), expected


def test_a_snapshot_saves_most_of_the_replay(searched, monkeypatch):
    folder, expected = searched
    assert len(list(folder.glob("strategy-*.snapshot"))) == 2
    strategy = PPOSearch(SPACE, seed=1, minibatch=8)
    calls = []
    propose = strategy.propose
    monkeypatch.setattr(strategy, "propose", lambda: calls.append(1) or propose())
    book = open_ledger(folder, strategy)
    assert len(calls) < 16  # without a snapshot, 45
    play(book, 70)
    book.close()
    assert content_of(book) == expected


@pytest.mark.parametrize("damage", [b"", b"not json", b'{"rows": 80}\n', None], ids=["empty", "garbage", "no digest", "a bit"])
@pytest.mark.parametrize("which", [[-1], [0, 1]], ids=["newest", "all"])
def test_damaged_snapshots_are_skipped(searched, damage, which, capsys):
    folder, expected = searched
    paths = sorted(folder.glob("strategy-*.snapshot"))
    for index in which:
        content = paths[index].read_bytes()
        paths[index].write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:] if damage is None else damage)
    book = open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8))
    assert capsys.readouterr().out.count("damaged; skipped") == len(which)
    play(book, 70)
    book.close()
    assert content_of(book) == expected


def test_a_snapshot_of_another_journal_is_skipped(searched, capsys):
    folder, _ = searched
    lines = (folder / NAME).read_bytes().splitlines(keepends=True)
    (folder / NAME).write_bytes(b"".join(lines[:40]))  # fewer lines than either snapshot includes
    book = open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8))
    book.close()
    assert capsys.readouterr().out.count("belongs to another journal") == 2
    assert len(book.trials) == 20


def updates_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_update_of_the_policy_is_logged_once(searched):
    """Rows that a kill removed or cut short are written again, by a replay from a snapshot or from the first line."""
    folder, _ = searched
    before = updates_of(folder)
    assert [row["step"] for row in before] == [1, 2, 3, 4, 5]
    assert [row["trials"] for row in before] == [8, 16, 24, 32, 40]
    assert set(before[0]) == {"kind", "step", "trials", "baseline", "loss", "entropy", "clip_fraction", "kl"}
    assert before[0]["kind"] == "update"
    assert 0 < before[-1]["entropy"] < before[0]["entropy"]
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert list((folder / "logs").glob("events*"))
    open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8)).close()
    assert updates_of(folder) == before
    for snapshot in folder.glob("*.snapshot"):
        snapshot.unlink()
    path.write_text("{half\n")
    with pytest.raises(InputError, match="metrics.jsonl: line 1 is damaged"):
        open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8))
    path.write_text("")
    book = open_ledger(folder, PPOSearch(SPACE, seed=1, minibatch=8))
    assert updates_of(folder) == before
    play(book, 50)
    book.close()
    assert [row["step"] for row in updates_of(folder)] == [1, 2, 3, 4, 5, 6]


def test_a_new_search_begins_a_new_log_of_updates(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "update", "step": 99}\n')
    book = open_ledger(tmp_path, PPOSearch(SPACE, seed=1, minibatch=2))
    play(book, 2)
    book.close()
    assert [row["step"] for row in updates_of(tmp_path)] == [1]


class RoundsDifferently(PPOSearch):
    """Simulates a machine whose sums differ in their last digits."""

    def __init__(self, *args, **bindings):
        super().__init__(*args, **bindings)
        noise, update = np.random.default_rng(0), self._updater.update

        def noisy(*batch):
            said = update(*batch)
            for variable in self._controller.trainable_variables:
                variable.assign(variable.numpy() * (1 + 1e-6 * noise.normal(size=variable.shape)))
            return said

        self._updater.update = noisy


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """The path of a work folder with 60 trials from another machine."""
    folder = tmp_path_factory.mktemp("foreign")
    book = open_ledger(folder, RoundsDifferently(SPACE, seed=1, minibatch=8, learning_rate=0.005))
    play(book, 60)
    book.close()
    return folder


def open_foreign(folder, seed=1):
    return open_ledger(folder, PPOSearch(SPACE, seed, minibatch=8, learning_rate=0.005))


def test_a_journal_of_a_machine_that_rounds_differently_is_resumed(foreign, tmp_path, capsys):
    folder = pathlib.Path(shutil.copytree(foreign, tmp_path / "moved"))
    recorded = [trial.log_probs for trial in read_trials(folder)]
    book = open_foreign(folder)
    assert capsys.readouterr().out.count("a machine that rounds differently; the proposals in the journal are used") == 1
    assert [trial.log_probs for trial in book.trials] == recorded
    play(book, 80)
    book.close()
    assert {row["step"] for row in updates_of(folder)} == set(range(1, 11))
    open_foreign(folder).close()  # proposals of this machine are equal, those of the other are near


@pytest.mark.parametrize("change", ["decision", "log_prob", "seed"])
def test_a_changed_journal_is_refused(foreign, tmp_path, change):
    folder = pathlib.Path(shutil.copytree(foreign, tmp_path / "changed"))
    lines = (folder / NAME).read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if '"trial": 40,' in line and "proposed" in line)
    event = json.loads(lines[place])
    if change == "decision":
        event["decisions"][7] = 1 - event["decisions"][7] % 2
    elif change == "log_prob":
        event["log_probs"][7] -= 0.05
    lines[place] = json.dumps(event)
    (folder / NAME).write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="is not what this search would have proposed: the journal was changed"):
        open_foreign(folder, seed=2 if change == "seed" else 1)
