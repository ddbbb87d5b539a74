"""Tests of journals and folders whose hashes follow older rules."""

import json

from nasnet_tf.genotype import HASH_VERSION, SearchSpace, format_genotype, genotype_hash, parse_genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.strategies import given
from nasnet_tf.nas.trials import ledger
from nasnet_tf.nas.trials.journal import NAME, read_trials
from nasnet_tf.nas.trials.trial import leaderboard
from nasnet_tf.testing import JOURNAL_IDENTITY as IDENTITY
from nasnet_tf.testing import open_ledger


def _concat(left, right):
    """Returns a genotype whose cells concatenate two operations on the newest state."""
    sides = " ".join(f"{side} {{ input: 0 operation: {operation} }}" for side, operation in (("left", left), ("right", right)))
    cell = f"{{ blocks {{ {sides} combine: CONCAT }} outputs {{ states: [2] }} }}"
    return parse_genotype(f"num_input_states: 2 normal_cell {cell} reduction_cell {cell}")


def test_a_journal_with_older_hashes_is_read_with_current_ones_and_resumed(tmp_path):
    """In version 1, swapping the sides of a concatenation changed the hash. Folders named by such hashes are still found."""
    space = SearchSpace(num_blocks=1, operations=("IDENTITY", "SEP_CONV_3X3"), combines=("CONCAT",))
    one, other = _concat("SEP_CONV_3X3", "IDENTITY"), _concat("IDENTITY", "SEP_CONV_3X3")
    old = [genotype_hash(genotype, 1) for genotype in (one, other)]
    today = genotype_hash(one)
    assert genotype_hash(other) == today
    assert len(set(old)) == 2
    first = {"event": "search", "time": 0.0, "identity": dict(IDENTITY.values), "version": "0.2.0"}
    rows = [first]
    for number, genotype in enumerate((one, other)):
        values = {"hash": old[number], "decisions": space.encode(genotype), "log_probs": []}
        rows.append({"event": "proposed", "time": 1.0, "trial": number, "genotype": format_genotype(genotype), **values})
    rows.append({"event": "finished", "time": 2.0, "trial": 0, "attempt": 1, "reward": 0.5, "seconds": 1.0, "metrics": {}})
    (tmp_path / NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [trial.hash for trial in read_trials(tmp_path)] == [today, today]

    book = ledger.Ledger(tmp_path, space, given.GivenOrder([row["decisions"] for row in rows[1:3]]), IDENTITY)
    assert book.settle(book.trials[1])  # another architecture under the older rules
    assert book.trials[1].reward == 0.5
    book.close()
    assert [trial.hash for trial in leaderboard(read_trials(tmp_path))] == [today]

    assert retraining.trained_folder(tmp_path, one).name == retraining.trained_folder(tmp_path, other).name == today
    for digest in old:
        (tmp_path / "trained" / digest).mkdir(parents=True)
    assert [retraining.trained_folder(tmp_path, genotype).name for genotype in (one, other)] == old


def test_a_new_journal_records_the_version_of_its_hashes(tmp_path):
    open_ledger(tmp_path).close()
    assert json.loads((tmp_path / NAME).read_text().splitlines()[0])["hash_version"] == HASH_VERSION
