"""Tests of fault tolerance, on a simulated cluster whose machines fail, hang or find good architectures infeasible."""

import dataclasses
import functools
import itertools
import json
import re

import pytest

from nasnet_tf.base.errors import EngineLost, InputError, SearchPaused
from nasnet_tf.genotype import SearchSpace, genotype_hash, parse_genotype
from nasnet_tf.nas import search as loop
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.search_test import child
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.faults import FaultTolerance, Watch
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.trial import Trial
from nasnet_tf.testing import open_ledger

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
BAD = {
    "fails": {"reason": "no such device"},
    "hangs": {"reason": "killed at its deadline of 9 seconds", "over_deadline": True},
    "has no disk": {"reason": "the data is not there", "user_error": True},
    "finds NaN": {"value": {"reward": float("nan")}},
    "diverges": {"value": {"infeasible": "the loss is nan"}},
    "leaves": {"reason": "its machine left the cluster", "lost": True},
}


class Cluster:
    """An engine that simulates machines. Children on bad machines end before those on good ones.

    Args:
      machines: {name: how the machine is bad, a key of BAD, or "" for a good one}. With a number before the key, as in "25 leaves", the
        machine becomes good after that many children have ended in this way.
      slots: number of children at a time on each machine.
    """

    def __init__(self, machines, slots=4):
        self.ways, self.slots, self.quarantined = machines, slots, set()
        self.running, self.ran, self.avoided = [], [], {}

    @property
    def free_slots(self):
        healthy = self.ways.keys() - self.quarantined
        return self.slots * len(healthy) - sum(machine in healthy for machine, *_ in self.running)

    def submit(self, key, function, *args):
        healthy = self.ways.keys() - self.quarantined
        room = {machine: self.slots - sum(other == machine for other, *_ in self.running) for machine in healthy}
        # A retry waits for a machine other than those where it failed.
        allowed = healthy - self.avoided.get(key, set()) or healthy
        # A machine on which children fail at once is always free, so it gets more than its share.
        machine = min(allowed, key=lambda name: (room[name] <= 0, not self.ways[name], name))
        self.running.append((machine, key, function, args))
        self.ran.append((machine, key))

    def poll(self, timeout_seconds):
        self.running.sort(key=lambda child: not self.ways[child[0]])
        machine, key, function, args = self.running.pop(0)
        count, way = re.fullmatch(r"(\d*) ?(.*)", self.ways[machine]).groups()
        if count:
            self.ways[machine] = f"{int(count) - 1} {way}" if int(count) > 1 else ""
        fields = BAD[way] if way else {"value": function(*args)}
        return [Outcome(key, 1.0, machine=machine, **fields)]

    def avoid(self, key, machines):
        self.avoided[key] = set(machines)

    def quarantine(self, machine):
        if not self.ways.keys() - self.quarantined - {machine}:
            return False
        self.quarantined.add(machine)
        return True

    def close(self):
        self.closed_with = len(self.running)


def search(folder, machines, num_trials=30, evaluate=child, slots=4, **rules):
    cluster = Cluster(machines, slots)
    config = SearchConfig(SPACE, functools.partial(RandomSearch, seed=4), lambda: cluster, num_trials, **rules)
    return cluster, lambda: loop.search(folder, config, evaluate)


def events(folder, kind):
    rows = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    return [row for row in rows if row["event"] == kind]


@pytest.mark.parametrize("way", ["fails", "hangs", "has no disk", "finds NaN", "diverges"])
def test_one_sick_machine_is_quarantined_and_all_architectures_get_rewards(tmp_path, way, capsys):
    cluster, run = search(tmp_path, {"a": "", "sick": way, "z": ""})
    trials = run()
    assert [trial.status for trial in trials] == ["finished"] * 30
    assert cluster.quarantined == {"sick"}
    if way in ("fails", "hangs", "has no disk"):  # the others need results of healthy machines to compare with
        assert sum(machine == "sick" for machine, _ in cluster.ran) <= 10 + 4
    assert capsys.readouterr().out.count("machine sick is quarantined") == 1
    (aside,) = events(tmp_path, "aside")
    assert (aside["machine"], "reason" in aside) == ("sick", True)
    assert [dataclasses.replace(trial) for trial in read_trials(tmp_path)] == trials  # the journal gives the same trials


def test_a_small_search_loses_no_architecture_to_a_machine_that_finds_nan(tmp_path):
    """The machine never runs ten children. Trials that reused its infeasible outcomes are open again too."""
    cluster, run = search(tmp_path, {"good": "", "sick": "finds NaN"}, num_trials=20, slots=1)
    poll, turns = cluster.poll, itertools.cycle(["good", "sick"])

    def in_turns(timeout_seconds):
        turn = next(turns)
        others = [child for child in cluster.running if child[0] != turn]
        cluster.running = [child for child in cluster.running if child[0] == turn] or others
        outcomes = poll(timeout_seconds)
        cluster.running += [child for child in others if child not in cluster.running and child[1] != outcomes[0].key]
        return outcomes

    cluster.poll = in_turns
    trials = run()
    assert cluster.quarantined == {"sick"}
    assert sum(machine == "sick" for machine, _ in cluster.ran) <= 8
    assert [trial.status for trial in trials] == ["finished"] * 20
    assert [dataclasses.replace(trial) for trial in read_trials(tmp_path)] == trials


def test_architectures_that_are_infeasible_everywhere_quarantine_no_machine(tmp_path):
    def diverges(text, request):
        return {"infeasible": "the loss is nan"} if int(genotype_hash(parse_genotype(text))[:2], 16) % 2 else child(text, request)

    cluster, run = search(tmp_path, {"a": "", "b": ""}, num_trials=60, evaluate=diverges)
    statuses = {trial.status for trial in run()}
    assert (statuses, cluster.quarantined) == ({"finished", "infeasible"}, set())


def test_failures_of_children_that_ran_during_the_quarantine_do_not_count(tmp_path):
    book = open_ledger(tmp_path)
    trials = [book.propose() for _ in range(3)]
    nan = {"value": {"reward": float("nan")}, "machine": "sick"}
    book.record(Outcome(0, 1.0, **nan))
    assert trials[0].status == "infeasible"
    book.quarantine("sick", "all are")
    book.record(Outcome(1, 1.0, **nan))
    assert [trial.status for trial in trials] == ["failed", "failed", "running"]
    assert (trials[1].failed_on, trials[1].losses) == ([], 1)
    assert book.unfinished() == trials
    book.close()


def test_a_retry_goes_to_another_machine_first(tmp_path):
    """The failing machine is soon free again, but no trial runs there twice."""
    cluster, run = search(tmp_path, {"good": "", "sick": "fails"}, num_trials=4, slots=1)
    assert [trial.status for trial in run()] == ["finished"] * 4
    assert all(sum(run == ("sick", key) for run in cluster.ran) <= 1 for key in range(4))


@pytest.mark.parametrize(("pattern", "is_sick"), [("x" * 9 + ".", True), ("x" * 8 + "..", False), ("x" * 9, False), ("." + "x" * 9, True)])
def test_nine_failures_in_ten_executions_quarantine_a_machine(pattern, is_sick):
    quarantined = []
    watch = Watch(FaultTolerance(), lambda machine, why: quarantined.append(machine) or True)
    for mark in pattern:
        for machine, failed in (("b", mark == "x"), ("a", False)):
            trial = Trial(0, "", "", (), (), 0.0, "failed" if failed else "finished", reason="no such device")
            watch.see(Outcome(0, 1.0, machine=machine, reason="no such device" if failed else None), trial)
    if pattern.endswith("."):
        watch.see(Outcome(0, 1.0, machine="b", reason="no"), Trial(0, "", "", (), (), 0.0, "failed"))
    assert quarantined == ["b"] * is_sick
    assert watch.trouble == ""


def test_a_search_pauses_when_all_machines_fail_and_resumes_when_they_work(tmp_path):
    cluster, run = search(tmp_path, dict.fromkeys("abcde", "fails"))
    with pytest.raises(SearchPaused, match="10 of the last 10 executions failed, the last one in trial .*: no such device"):
        run()
    assert 3 <= len(cluster.quarantined) <= 4
    cluster, run = search(tmp_path, dict.fromkeys("abcde", ""))
    trials = run()
    assert sum(trial.status == "finished" for trial in trials) >= 24


@pytest.mark.parametrize("drain", [True, False])
def test_healthy_children_may_end_before_a_pause_and_can_prevent_it(tmp_path, drain):
    """Three quarantined machines in a row would pause the search. One successful child shows that the machines were the cause."""
    machines = {"a": "fails", "b": "fails", "c": "fails", "good": ""}
    cluster, run = search(tmp_path, machines, tolerance=FaultTolerance(drain=drain))
    original = cluster.submit

    def submit(key, function, *args):
        if not any(machine == "good" for machine, *_ in cluster.running):  # one on the good machine first
            cluster.running.append(("good", key, function, args))
        else:
            original(key, function, *args)

    cluster.submit = submit
    if drain:
        assert [trial.status for trial in run()] == ["finished"] * 30
    else:
        with pytest.raises(SearchPaused):
            run()
        assert cluster.closed_with > 0


def test_a_mistake_in_the_input_ends_the_search_when_a_second_machine_reports_it(tmp_path):
    cluster, run = search(tmp_path, {"a": "has no disk", "b": "has no disk", "c": ""})
    with pytest.raises(InputError, match="the data is not there"):
        run()
    assert len({machine for machine, _ in cluster.ran} & {"a", "b"}) == 2
    cluster, run = search(tmp_path / "alone", {"a": "has no disk"})
    with pytest.raises(InputError, match="the data is not there"):
        run()
    assert cluster.quarantined == set()


def test_machines_that_leave_cost_no_attempt_and_do_not_pause(tmp_path):
    cluster, run = search(tmp_path, {"a": "25 leaves"}, num_trials=8, slots=3)
    trials = run()
    assert [trial.status for trial in trials] == ["finished"] * 8
    assert max(trial.losses for trial in trials) > 3  # more than max_attempts, which applies to failures
    assert [trial.failed_on for trial in trials] == [[]] * 8
    _, run = search(tmp_path / "cursed", {"a": "leaves"}, num_trials=1)  # an architecture that no machine survives
    (trial,) = run()
    assert (trial.status, trial.losses) == ("failed", 10)


def test_a_search_whose_architectures_are_all_infeasible_pauses_with_the_reason(tmp_path):
    def diverges(text, request):
        return {"infeasible": "the loss is nan"}

    _, run = search(tmp_path, {"a": "", "b": ""}, evaluate=diverges)
    with pytest.raises(SearchPaused, match="architectures in a row were infeasible, the last one in trial .*: the loss is nan"):
        run()
    assert len(events(tmp_path, "infeasible")) < 20


def test_a_child_over_its_deadline_is_infeasible_at_once_and_for_good(tmp_path):
    learned = []

    class Learns(RandomSearch):
        def feedback(self, proposal, reward):
            learned.append(reward)

    def search(folder, cluster, **rules):
        config = SearchConfig(SPACE, functools.partial(Learns, seed=4), lambda: cluster, 5, **rules)
        return loop.search(tmp_path / folder, config, child)

    for folder, reward in (("silent", None), ("told", 0.125)):
        learned.clear()
        cluster = Cluster({"a": "2 hangs"}, slots=1)
        trials = search(folder, cluster, deadline_reward=reward)
        assert [trial.status for trial in trials] == ["infeasible"] * 2 + ["finished"] * 3
        assert trials[0].reason == "over its deadline (killed at its deadline of 9 seconds)"
        assert (trials[0].attempts, trials[0].reward) == (1, None)
        assert len(cluster.ran) == 5
        assert learned == [0.125] * 2 * (reward is not None) + [trial.reward for trial in trials[2:]]
        before = list(learned)
        search(folder, cluster)
        assert learned == before * 2  # the replay uses the recorded reward, not the current binding


def test_an_engine_that_is_lost_pauses_the_search(tmp_path):
    cluster, run = search(tmp_path, {"a": ""})

    def poll(timeout_seconds):
        raise EngineLost("the cluster has ended")

    cluster.poll = poll
    with pytest.raises(SearchPaused, match="the cluster has ended; repeat the command to resume"):
        run()


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"max_attempts": 0}, "FaultTolerance.max_attempts: expected an integer of 1 or more, got 0"),
        ({"executions": 1}, "FaultTolerance.executions: expected an integer of 2 or more, got 1"),
        ({"share": 1.5}, r"FaultTolerance.share: expected a number in \(0, 1\], got 1.5"),
        ({"drain": "yes"}, "FaultTolerance.drain: expected True or False, got 'yes'"),
    ],
)
def test_wrong_arguments_are_refused(bindings, message):
    with pytest.raises(InputError, match=message):
        FaultTolerance(**bindings)
