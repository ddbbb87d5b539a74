"""Tests of the best trial of a search, and of the number of trainings since."""

from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.trial import leaderboard
from nasnet_tf.testing import JOURNAL_SPACE as SPACE
from nasnet_tf.testing import finished, open_ledger


def test_the_best_is_first_on_the_leaderboard_if_architectures_are_trained_again(tmp_path):
    class TwoInTurns(RandomSearch):
        def propose(self):
            self._random.seed(len(book.trials) % 2)
            return super().propose()

    book = open_ledger(tmp_path, TwoInTurns(SPACE, seed=1), train_again=True)
    for number, reward in enumerate((0.80, 0.85, 0.90)):
        book.propose()
        book.record(finished(number, reward))
    book.close()
    assert book.trials[0].hash == book.trials[2].hash
    assert (book.best.number, leaderboard(book.trials)[0].number) == (1, 1)


def test_the_best_is_first_on_the_leaderboard_if_a_later_training_ends_earlier(tmp_path):
    class One(RandomSearch):
        def propose(self):
            self._random.seed(max(1, len(book.trials)))
            return super().propose()

    book = open_ledger(tmp_path, One(SPACE, seed=1), train_again=True)
    for _ in range(3):
        book.propose()
    for number, reward in ((1, 0.9), (0, 0.5), (2, 0.8)):
        book.record(finished(number, reward))
    book.close()
    assert book.trials[0].hash == book.trials[1].hash
    assert (book.best.number, leaderboard(book.trials)[0].number) == (2, 2)


def test_trainings_of_a_quarantined_machine_do_not_count_for_patience(tmp_path):
    book = open_ledger(tmp_path)
    trials = [book.propose() for _ in range(4)]
    book.record(Outcome(0, 1.0, value={"reward": 0.5}, machine="good"))
    for trial in trials[1:3]:
        book.record(Outcome(trial.number, 1.0, value={"infeasible": "nan"}, machine="sick"))
    assert book.num_since_best == 2
    book.quarantine("sick", "all are")
    assert book.num_since_best == 0
    book.record(Outcome(3, 1.0, value={"infeasible": "nan"}, machine="good"))
    assert book.num_since_best == 1
    book.close()


def test_a_quarantine_does_not_subtract_trainings_from_before_the_best(tmp_path):
    book = open_ledger(tmp_path)
    for number in range(4):
        book.propose()
        good = {"value": {"reward": 0.9 if number == 1 else 0.1}, "machine": "good"}
        book.record(Outcome(number, 1.0, **({"value": {"infeasible": "nan"}, "machine": "sick"} if number == 0 else good)))
    assert book.num_since_best == 2
    book.quarantine("sick", "all are")
    assert book.num_since_best == 2
    book.close()
