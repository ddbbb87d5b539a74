"""Checks the report of searches by the markup of the page, and its plots and statistics by their numbers."""

import html.parser
import json
import os
import random
import re

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.nas.children import folders
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.limits import Rates, busy_seconds
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.ledger import Ledger
from nasnet_tf.nas.trials.pareto import pareto_front
from nasnet_tf.nas.trials.trial import Trial, leaderboard
from nasnet_tf.testing import tiny_genotype
from nasnet_tf.viz.diagram import figure_to_svg
from nasnet_tf.viz.report import plots, statistics
from nasnet_tf.viz.report.report import Report

SPACE = SearchSpace(num_blocks=3)


@pytest.fixture
def searched(tmp_path):
    folder = tmp_path / "search"
    book = Ledger(folder, SPACE, RandomSearch(SPACE, seed=1), Identity({"seed": "1", "note": "<b>"}))
    for number in range(12):
        book.propose()
        if number == 3:
            book.record(Outcome(number, 1.0, reason="died <here>"))
        elif number < 11:
            metrics = {"parameters": 1000 * number + 10, "mult_adds": 5_000_000 + number}
            book.record(Outcome(number, 2.0, value={"reward": [0.5, 0.9, 0.7][number % 3], "metrics": metrics}))
    book.close()
    return folder


def write_journal(folder, count, strategy, identity=None, seed=0):
    """Writes a search of invented trials: 1 in 20 failed, 1 in 10 was reused, 1 in 5 was stopped early, and the last one may be running."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    rows = [{"event": "search", "identity": identity or {"search.strategy": strategy, "SearchSpace.num_blocks": "3"}}]
    for number in range(count):
        decisions = SPACE.sample(rng)
        log_probs = [-rng.random() for _ in decisions] if strategy == "@PPOSearch()" else []
        text = format_genotype(SPACE.decode(decisions))
        proposed = {"genotype": text, "hash": f"{seed:08}{number:08}", "decisions": decisions, "log_probs": log_probs}
        rows.append({"event": "proposed", "trial": number, **proposed})
        ended = {"trial": number, "attempt": 1, "seconds": round(rng.lognormvariate(3, 1), 3)}
        reward, curve = 0.5 + 0.4 * rng.random(), [0.3, 0.4, 0.5, 0.6]
        metrics = {"parameters": rng.randrange(10**5, 10**6), "mult_adds": rng.randrange(10**6, 10**7), "curve": curve}
        if number % 20 == 7:
            rows.append({"event": "failed", **ended, "reason": f"<child {number}> died: " + "a_long_word/" * 12})
        elif number % 10 == 8:
            again = {"reward": rows[-1].get("reward", 0.5), "metrics": {}, "seconds": 0.0, "reused_from": number - 1}
            rows.append({"event": "finished", **ended, **again})
        elif number < count - 1:
            stopped = {"stopped_epoch": 2, "curve": curve[:2]} if number % 5 == 3 else {}
            rows.append({"event": "finished", **ended, "reward": reward, "metrics": metrics | stopped})
    rows = [row | {"time": 1.7e9 + 10 * place} for place, row in enumerate(rows)]
    (folder / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_retraining(folder):
    """Adds a retraining to a search that write_journal wrote, with its first architectures, a winner and its test accuracy."""
    write_journal(folder / "retrain", 6, "", {"epochs": "20"})
    (folder / "retrain" / "winner.textproto").write_text(format_genotype(tiny_genotype()))
    (folder / "retrain" / "test.json").write_text(json.dumps({"accuracy": 0.9731, "trial": 3}))


class Checker(html.parser.HTMLParser):
    """Collects unbalanced tags, the text of table cells and the names of all tags."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.cells, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def check(page):
    """Checks that tags are balanced and that no address leads out of the page; returns the Checker."""
    checker = Checker()
    checker.feed(page)
    assert (checker.wrong, checker.open) == ([], [])
    without_namespaces = re.sub(r'(xmlns(:\w+)?|rdf:\w+)="[^"]*"', "", page)
    without_metadata = re.sub(r"<metadata>.*?</metadata>", "", without_namespaces, flags=re.DOTALL)
    assert not re.search(r"https?://", without_metadata)
    return checker


def test_the_report_of_a_search_ranks_its_trials(searched):
    trials = read_trials(searched)
    best = leaderboard(trials)[:10]
    assert [trial.number for trial in best[:4]] == [1, 4, 7, 10]
    page = Report(searched.parent).write().read_text()
    checker = check(page)
    assert checker.cells[:7] == ["1", "1", "0.9000", "1,010", "5,000,001", "2.0", ""]
    assert f'<a href="#search-{best[0].hash}">{best[0].hash}</a>' in page
    assert page.count(f'id="search-{best[0].hash}"') == 1
    assert [checker.cells[7 * row + 1] for row in range(10)] == [str(trial.number) for trial in best]
    assert "died &lt;here&gt;" in page
    assert "died <here>" not in page
    assert checker.tags.count("svg") == 1 + 9 + 4  # the best cells, nine more of the leaderboard, four plots


def test_report_of_a_policy_shows_its_entropy(tmp_path):
    write_journal(tmp_path / "search", 40, "@PPOSearch()")  # states the space, whose largest entropy is drawn
    page = Report(tmp_path).write().read_text()
    check(page)
    assert "Entropy of the policy" in page


def test_report_links_to_logs_of_children(searched):
    """Links lead to existing logs only, including those of retrainings, from a page in the folder or in its parent."""
    assert "Logs of children" not in Report(searched).write().read_text()
    logs = []
    for name, child in ((".", "trial_3"), ("retrain", "trial_0"), ("retrain-2", "trial_0")):
        if name != ".":
            Ledger(searched / name, SPACE, RandomSearch(SPACE, seed=1), Identity()).close()
        logs.append(folders.log_of(searched / name / folders.FOLDER, child))
        logs[-1].parent.mkdir()
        logs[-1].touch()
    assert logs[0].relative_to(searched).as_posix() == "children/trial_00003.log"
    for root in (searched, searched.parent):
        page = Report(root).write().read_text()
        check(page)
        assert re.findall(r'<a href="([^"]*\.log)">', page) == [log.relative_to(root).as_posix() for log in logs]


def test_report_of_a_search_that_just_began(tmp_path):
    Ledger(tmp_path, SPACE, RandomSearch(SPACE, seed=1), Identity()).close()
    check(Report(tmp_path).write().read_text())


def test_a_folder_without_work_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to report; expected one of journal.jsonl, .* in this folder or directly below it"):
        Report(tmp_path).write()
    with pytest.raises(InputError, match="no such folder"):
        Report(tmp_path / "none")


def test_plots_show_the_numbers(searched):
    trials = read_trials(searched)
    axes = plots.plot_rewards(trials).axes[0]
    assert list(axes.lines[0].get_ydata()) == [0.5] + [0.9] * 9
    assert len(axes.lines) == 1  # there are fewer than 25 trials, so there is no mean
    axes = plots.plot_rewards([trial(number, 0.5 + 0.01 * number) for number in range(27)], chance=0.25).axes[0]
    assert axes.lines[1].get_xydata().tolist() == [pytest.approx([number, 0.5 + 0.01 * (number - 12)]) for number in (24, 25, 26)]
    assert list(axes.lines[2].get_ydata()) == [0.25, 0.25]
    bars = plots.plot_operation_frequencies(trials).axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(len({bar.get_x() for bar in bars}))
    assert format_genotype(trials[0].genotype)


def test_predicted_rewards_are_no_best():
    predicted = {"stopped_epoch": 2}
    trials = [
        trial(0, 0.95, metrics=predicted),
        trial(1, 0.6),
        trial(2, 0.5, hash="b", metrics=predicted),
        trial(3, 0.7),
        trial(4, 0.9, hash="b"),
    ]
    axes = plots.plot_rewards(trials).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.6], [3, 0.7], [4, 0.9]]
    left, *_ = plots.plot_comparison([("$_$", trials), ("_old", trials[:2])]).axes
    assert [line.get_ydata().max() for line in left.lines] == [0.9, 0.6]


def test_updates_are_drawn_at_the_trials_whose_rewards_they_had():
    """Trial 1 got no reward, and trial 3 got its reward before trial 2."""
    times = {0: 1.0, 3: 2.0, 2: 3.0}
    trials = [trial(number, 0.5 if number in times else None, log_probs=(-1.0,), finished_time=times.get(number)) for number in range(5)]
    updates = [{"kind": "update", "step": step, "trials": step, "entropy": 1.0 / step} for step in (1, 2, 3)]
    axes = plots.plot_entropy(trials, updates).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[0, 1], [3, 0.5], [3, pytest.approx(1 / 3)]]
    assert plots.plot_update(updates, "entropy").axes[0].get_xlabel() == "rewards so far"


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / os.fsdecode(b"r\xe9sum $_$")
    write_journal(folder, 3, "@RandomSearch()")
    write_journal(tmp_path / "_old", 3, "@RandomSearch()")
    page = Report(tmp_path).write().read_text()
    assert "r\\udce9sum $_$" in page


def trial(number, reward, **values):
    row = {"hash": str(number), "decisions": (), "log_probs": (), "proposed_time": 0.0, "text": "", **values}
    return Trial(number, reward=reward, status="finished" if reward is not None else row.pop("status", "running"), **row)


def test_a_number_of_a_single_update_is_not_drawn():
    once = {"kind": "update", "step": 1, "trials": 20, "entropy": 1.0, "baseline": 0.5}
    assert plots.update_names([once]) == []
    assert plots.update_names([once, {**once, "step": 2, "value": 1.0}]) == ["baseline"]


def test_statistics_equal_calculations_by_hand():
    rewards = [0.5, 0.9, 0.1, 0.7]
    assert statistics.running_best(rewards).tolist() == [0.5, 0.9, 0.9, 0.9]
    assert statistics.running_top_mean(rewards, 2) == pytest.approx([np.nan, 0.7, 0.7, 0.8], nan_ok=True)
    assert statistics.running_top_mean([], 2).tolist() == statistics.running_best([]).tolist() == []
    assert (statistics.top_mean(rewards, 2), statistics.top_mean(rewards, 5)) == (pytest.approx(0.8), None)
    numbers, estimates = statistics.entropy_estimates([trial(0, None), trial(5, None, log_probs=(-1.0, -0.5))])
    assert (numbers.tolist(), estimates.tolist()) == ([5], [1.5])
    assert statistics.smoothed(np.array([1.0, 2.0, 6.0]), 2).tolist() == [1.5, 4.0]
    assert statistics.smoothed(np.array([1.0]), 2).tolist() == []
    failed = [trial(n, None, status="failed", reason=reason) for n, reason in enumerate(("died (9)", "other", "died (10)"))]
    assert [[each.number for each in group] for group in statistics.failures(failed)] == [[0, 2], [1]]
    # Two trials that overlap for 5 of 15 seconds, a pause, then two attempts of one trial with a pause between them.
    times = [
        trial(number, 0.5, executions=spans) for number, spans in enumerate(([(10.0, 10.0)], [(15.0, 10.0)], [(180.0, 8.0), (200.0, 12.0)]))
    ]
    assert busy_seconds(times) == pytest.approx(35.0)
    assert statistics.largest_entropy(SearchSpace(num_blocks=1)) == pytest.approx(2 * np.log(2 * 2 * 13 * 13 * 2))


def test_many_trials_become_images(tmp_path):
    write_journal(tmp_path / "search", 700, "@PPOSearch()")
    trials = read_trials(tmp_path / "search")
    for plot in (plots.plot_rewards, plots.plot_accuracy_against_cost, plots.plot_times):
        svg = figure_to_svg(plot(trials))
        assert "<image" in svg
        assert svg.count("<use") < 200
        assert len(svg) < 200_000


def test_the_report_shows_the_front_and_the_spending(tmp_path):
    folder = tmp_path / "search"
    write_journal(folder, 40, "@RandomSearch()")
    Rates(watts=50.0, price=2.0).save(folder)
    trials = read_trials(folder)
    front = pareto_front(trials)
    words = [cell.strip() for cell in check(Report(tmp_path).write().read_text()).cells]
    for trial in front[-15:]:
        assert [str(trial.number), f"{trial.metrics['mult_adds']:,.6g}"] in [words[place : place + 2] for place in range(len(words))]
    text = (tmp_path / "report.html").read_text()
    hours = sum(trial.seconds for trial in trials) / 3600
    assert f"<b>{hours:.2f}</b><span>child-hours</span>" in text
    assert f"<b>{hours * 0.05:.2f} kWh</b>" in text
    assert f"<b>{hours * 2:.2f}</b><span>price, estimated</span>" in text
    drawn = plots.plot_accuracy_against_cost(trials).axes[0].lines[0].get_xydata()
    assert drawn.tolist() == [pytest.approx((trial.metrics["mult_adds"] / 1e6, trial.reward)) for trial in front]
