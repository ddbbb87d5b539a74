"""Clicks through the tables of a report in Chromium."""

import json
import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from nasnet_tf.testing import chromium
from nasnet_tf.viz.report import page, search_tables
from nasnet_tf.viz.report.report import Report
from nasnet_tf.viz.report.searches_test import trial, write_journal

CELL = re.compile(r"<td.*?>(.*?)</td>")
REASONS = ("out of memory, step {}", "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'> {}", "died ({})")


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def show(browser, tmp_path):
    """Returns a function that opens a page with the given content, without the settings of other tests."""

    def show(content, name="page.html"):
        path = tmp_path / name
        path.write_text(page.document("tables", content, None))
        browser.get(path.as_uri())

    return show


class Table:
    """The first table after a heading, with its controls; without `heading`, the first table of the page."""

    def __init__(self, browser, heading=None):
        place = f"//h3[text()='{heading}']/following::" if heading else "//"
        self._browser, self.element = browser, browser.find_element(By.XPATH, f"({place}table)[1]")
        tools = browser.find_element(By.XPATH, f"({place}div[@class='tools'])[1]")
        self.filter, self.select = tools.find_element(By.TAG_NAME, "input"), tools.find_element(By.TAG_NAME, "select")
        self.count, self.turns = tools.find_element(By.TAG_NAME, "span"), tools.find_elements(By.TAG_NAME, "button")
        self.titles = [title.text for title in self.element.find_elements(By.TAG_NAME, "th")]

    def button(self, title):
        return self.element.find_elements(By.CSS_SELECTOR, "th button")[self.titles.index(title)]

    def sort(self, title):
        """Clicks a title and returns the texts of its column."""
        self.button(title).click()
        return self.column(title)

    def column(self, title):
        script = "return [...arguments[0].querySelectorAll('tbody tr')].map(row => row.cells[arguments[1]].innerText)"
        return self._browser.execute_script(script, self.element, self.titles.index(title))

    def order(self, title):
        return self.button(title).find_element(By.XPATH, "..").get_attribute("aria-sort")

    def type(self, text):
        self.filter.clear()
        self.filter.send_keys(text or " \b")


def write_search(folder, count=120):
    """Writes a search in which 1 in 20 trials failed, for one of three reasons that contain the number of the trial."""
    write_journal(folder, count, "@RandomSearch()")
    journal = folder / "journal.jsonl"
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    for number, row in enumerate([row for row in rows if row["event"] == "failed"]):
        row["reason"] = REASONS[number % len(REASONS)].format(row["trial"])
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("given", "ascending"),
    [
        (["10", "9", "1,000", "-", "-2", "+3"], ["-2", "+3", "9", "10", "1,000", "-"]),
        (["0.5 ± 0.1", "", "0.25 ± 0.4", "1e-05"], ["1e-05", "0.25 ± 0.4", "0.5 ± 0.1", ""]),
        (["12%", "nan", "9.5%", "100%", "–"], ["9.5%", "12%", "100%", "nan", "–"]),
        (
            ["0.7", "0.09 (predicted, stopped after epoch 2)", "inf", "-inf", "−1"],
            ["-inf", "−1", "0.09 (predicted, stopped after epoch 2)", "0.7", "inf"],
        ),
        (["1:15", "59:01", "1:00:00", "0:09"], ["0:09", "1:15", "59:01", "1:00:00"]),
        (["0.1", "'x'", "None", "0.02", "0.3"], ["0.02", "0.1", "0.3", "'x'", "None"]),
        (["b7", "12e4", "9c", "12ab"], ["9c", "12ab", "12e4", "b7"]),  # hashes of architectures: one looks like a number
    ],
)
def test_a_column_sorts_both_ways_and_back(browser, show, given, ascending):
    missing = [text for text in given if text in ("-", "–", "", "nan", "None")]
    show(page.table(["name", "value"], [[str(number), text] for number, text in enumerate(given)]))
    table = Table(browser)
    assert table.sort("value") == ascending
    assert (table.order("value"), table.order("name")) == ("ascending", "none")
    known = ascending[: len(given) - len(missing)]
    assert table.sort("value") == known[::-1] + missing
    assert table.order("value") == "descending"
    assert table.sort("value") == given
    assert table.order("value") == "none"


def test_equal_rows_keep_their_order_and_text_columns_sort_as_texts(browser, show):
    rows = [[str(number), "same", text] for number, text in enumerate(("7, 20", "100", "20"))]
    show(page.table(["name", "equal", "which"], rows, text_columns=(2,)))
    table = Table(browser)
    assert table.sort("equal") == ["same"] * 3
    assert table.column("name") == ["0", "1", "2"]
    table.sort("equal")
    assert table.column("name") == ["0", "1", "2"]
    assert table.sort("which") == ["7, 20", "20", "100"]


def test_works_with_the_keyboard_alone(browser, show):
    show(page.table(["name", "value"], [["a", "2"], ["b", "1"]]))
    table = Table(browser)
    table.filter.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "value"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert table.column("value") == ["1", "2"]
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert table.column("value") == ["2", "1"]
    show(page.table(["name"], [["a"], ["b"]], rows_per_page=1))
    table = Table(browser)
    for shown in ("b", "a", "b"):  # a button that becomes disabled passes the focus to the other one
        (browser.switch_to.active_element if shown == "a" else table.turns[1]).send_keys(Keys.ENTER)
        assert table.column("name") == [shown]


def test_trials_are_filtered_by_status_reason_and_words(browser, tmp_path):
    write_search(tmp_path / "search")
    browser.get(Report(tmp_path).write().as_uri())
    table = Table(browser, "Trials")
    assert table.count.text == "120 rows, from 1 to 50"
    assert len(table.column("trial")) == 50
    failed = [str(number) for number in range(7, 120, 20)]
    choice = Select(table.select)
    labels = [option.text for option in choice.options]
    assert labels[:4] == ["all", "running (1)", "finished (113)", "failed (6)"]
    assert labels[4] == "failed: out of memory, step N (2)"
    choice.select_by_visible_text("failed (6)")
    assert (table.column("trial"), table.count.text) == (failed, "6 of 120 rows")
    choice.select_by_visible_text("failed: out of memory, step N (2)")
    assert (table.column("trial"), table.count.text) == (["7", "67"], "2 of 120 rows")
    table.type("Step 67 MEMORY")
    assert (table.column("trial"), table.count.text) == (["67"], "1 of 120 rows")
    choice.select_by_visible_text("all")
    table.type("nowhere")
    assert (table.column("trial"), table.count.text) == ([], "0 of 120 rows")
    table.type("")
    # All rows are sorted, not only the visible ones.
    rewards = sorted((float(text) for text in rewards_of(browser, table)), reverse=True)
    table.sort("validation accuracy")
    assert [float(text) for text in table.sort("validation accuracy")] == rewards[:50]
    previous, following = table.turns
    assert not previous.is_enabled()
    following.click()
    assert [float(text) for text in table.column("validation accuracy")] == rewards[50:100]
    assert table.count.text == "120 rows, from 51 to 100"
    following.click()
    assert [text for text in table.column("validation accuracy") if text == "-"] == ["-"] * 7
    assert not following.is_enabled()
    previous.click()
    assert table.count.text == "120 rows, from 51 to 100"


def rewards_of(browser, table):
    """Returns the rewards on all pages of the table of trials, and goes back to the first page."""
    shown = []
    while True:
        shown += [text for text in table.column("validation accuracy") if text != "-"]
        if not table.turns[1].is_enabled():
            table.turns[0].click()
            table.turns[0].click()
            return shown
        table.turns[1].click()


def test_failures_are_grouped_by_reason_and_shown_as_text(browser, tmp_path):
    write_search(tmp_path / "search")
    browser.get(Report(tmp_path).write().as_uri())
    table = Table(browser, "Failures")
    reason = table.titles[-1]
    assert table.sort(reason)[0].startswith("<script>window.harmed")
    table.type("onerror")
    assert table.column("trials") == ["2"]
    trials = Table(browser, "Trials")
    trials.type("window.harmed")
    assert trials.sort("reason") == [REASONS[1].format(27), REASONS[1].format(87)]
    label = next(option.text for option in Select(trials.select).options if "window.harmed" in option.text)
    Select(trials.select).select_by_visible_text(label)
    assert trials.column("trial") == ["27", "87"]
    assert browser.execute_script("return [typeof window.harmed, document.querySelectorAll('table img, table script').length]") == [
        "undefined",
        0,
    ]
    assert browser.get_log("browser") == []


def test_every_reason_is_in_the_table_of_failures():
    trials = [trial(number, None, status="failed", reason="reason " + "x" * number) for number in range(35)]
    table = search_tables.failures(trials, "Failures")
    assert table.count("<td>failed</td>") == 35
    assert table.endswith('<noscript><p class="soft">The first 20 of 35 rows. The others need JavaScript.</p></noscript>')


def test_trials_show_the_metrics_of_their_search():
    trials = [trial(0, 0.5, metrics={"accuracy": 0.625, "cost": 1234.5, "parameters": 7}), trial(1, None), trial(2, 0.25)]
    table = search_tables.every_trial(trials, [], "search")
    assert re.findall(r"<th.*?>(.*?)</th>", table)[2:6] == ["reward", "accuracy", "cost", "parameters"]
    assert [row[2:6] for row in map(CELL.findall, table.split("<tr")[2:])] == [
        ["0.5000", "0.625", "1,234.5", "7"],
        ["-", "-", "-", "-"],
        ["0.2500", "-", "-", "-"],
    ]
    assert "<th>validation accuracy</th><th>parameters</th>" in search_tables.every_trial([trial(0, 0.5)], [], "search")


def test_a_live_page_keeps_the_settings(browser, tmp_path):
    write_search(tmp_path / "search", 500)
    browser.get(Report(tmp_path).write().as_uri())
    table = Table(browser, "Trials")
    table.sort("seconds")
    table.sort("seconds")
    Select(table.select).select_by_visible_text("finished (474)")
    table.type("finished")
    table.turns[1].click()
    table.filter.click()
    before = table.column("trial")
    assert table.count.text == "474 of 500 rows, from 51 to 100"
    browser.execute_script("location.hash = '#somewhere'")  # as a link does: this adds an entry to the tab's history
    browser.refresh()  # as a live page does
    table = Table(browser, "Trials")
    assert (table.order("seconds"), table.filter.get_attribute("value"), table.count.text) == (
        "descending",
        "finished",
        "474 of 500 rows, from 51 to 100",
    )
    assert table.column("trial") == before
    assert browser.switch_to.active_element == table.filter
    table.filter.send_keys("x")
    assert table.filter.get_attribute("value") == "finishedx"


def test_tables_sort_in_a_page_that_may_not_store_anything(browser, show, tmp_path):
    show(page.table(["name", "value"], [["a", "2"], ["b", "1"]]), "inner.html")
    (tmp_path / "outer.html").write_text('<iframe sandbox="allow-scripts" src="inner.html"></iframe>')
    browser.get((tmp_path / "outer.html").as_uri())
    browser.switch_to.frame(0)
    assert Table(browser).sort("value") == ["1", "2"]
    browser.switch_to.default_content()


def test_without_scripts_the_page_has_plain_tables(browser, show):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(page.table(["name"], [[str(number)] for number in range(30)], rows_per_page=10))
        shown = browser.find_element(By.TAG_NAME, "body").text.split()
        assert shown[:12] == ["tables", "name", *map(str, range(10))]
        assert " ".join(shown[12:]) == "The first 10 of 30 rows. The others need JavaScript."
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_twenty_thousand_rows_sort_in_half_a_second(browser, show):
    """Measures processor time, because the machine may be busy."""
    rows = [[str(number), f"{number * 7919 % 20000:,}", f"{number * 7919 % 20011:016x}"] for number in range(20000)]
    groups = {"even": range(0, 20000, 2), "odd": range(1, 20000, 2)}
    show(page.table(["trial", "parameters", "architecture"], rows, rows_per_page=50, groups=groups))
    table = Table(browser)
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds():
        metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    for title, first in (("parameters", "0"), ("architecture", f"{0:016x}"), ("trial", "0")):
        before = seconds()
        assert table.sort(title)[0] == first
        assert seconds() - before < 0.5, title
    before = seconds()
    table.type("19,999")
    assert table.count.text == "1 of 20,000 rows"
    assert seconds() - before < 6 * 0.5  # one filter run for each of 6 keys
