"""Checks the report of several searches by its markup, and by measurements of its layout in a headless browser."""

import json
import re

import numpy as np
import pytest
from selenium.webdriver.support.ui import WebDriverWait

from nasnet_tf.base.terminal import format_seconds
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.trial import measured
from nasnet_tf.testing import TIMEOUT_SECONDS, chromium
from nasnet_tf.viz.report import searches
from nasnet_tf.viz.report.report import Report
from nasnet_tf.viz.report.searches_test import check, write_journal, write_retraining

# Finds texts in pictures that overlap or are cut off, elements that are wider than the page, and pairs of text and background colors.
MEASURE = """
  const result = {overlaps: [], outside: [], cut: [], contrasts: [], scroll: document.documentElement.scrollWidth, width: innerWidth};
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const within = (box, frame) => box.left >= frame.left - 1 && box.right <= frame.right + 1;
  for (const svg of document.querySelectorAll("svg")) {
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent.trim(), text.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    texts.forEach(([one, a], index) => {
      if (!within(a, frame) || a.top < frame.top - 1 || a.bottom > frame.bottom + 1) result.cut.push(one);
      for (const [two, b] of texts.slice(index + 1)) {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 1 && height > 0.25 * Math.min(a.height, b.height)) result.overlaps.push(one + " | " + two);
      }
    });
  }
  const clips = element => element && (getComputedStyle(element).overflowX !== "visible" || clips(element.parentElement));
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.width && !within(box, {left: 0, right: innerWidth}) && !clips(element.parentElement))
      result.outside.push(element.outerHTML.slice(0, 80));
  }
  const seen = new Set();
  for (const element of document.body.querySelectorAll("h1,h2,h3,p,a,b,span,td,th,button,input,select,summary,pre,figcaption")) {
    let behind = element;
    while (behind.parentElement && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    seen.add(getComputedStyle(element).color + " on " + getComputedStyle(behind).backgroundColor);
  }
  result.contrasts = [...seen];
  return result;
"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches")
    write_journal(folder / "ppo", 700, "@PPOSearch()")
    write_journal(folder / "random", 25, "@RandomSearch()", seed=1)
    write_retraining(folder / "ppo")
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return Report(folder)


def test_the_page_compares_searches_and_shows_the_retraining(report, folder, monkeypatch):
    page = report.write().read_text()
    checker = check(page)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    rewards = {name: [trial.reward for trial in measured(read_trials(folder / name))] for name in ("ppo", "random")}
    top_5 = f"{np.mean(sorted(rewards['random'])[-5:]):.4f}"
    assert checker.cells[0] == "ppo (PPOSearch)"
    assert checker.cells[6:11] == ["random (RandomSearch)", str(len(rewards["random"])), f"{max(rewards['random']):.4f}", top_5, "-"]
    seconds = sum(trial.seconds for trial in read_trials(folder / "random"))  # of all children, also those that failed or were stopped
    assert checker.cells[11] == format_seconds(seconds)
    assert checker.cells[13] == f"{max(rewards['ppo'][: len(rewards['random'])]):.4f}"  # after equally many architectures
    assert page.count("<h2") == 3  # the retraining has no section of its own
    for text in ("Retrained", "0.9731", "test accuracy of the winner", "predicted, stopped after epoch 2"):
        assert text in page
    assert page.count("Entropy of the policy") == 1  # random search has no policy
    died = next(place for place, cell in enumerate(checker.cells) if cell.startswith("<child"))
    assert checker.cells[died - 4 : died] == ["failed", "35", "7, 27, 47, 67, 87, ...", "35"]
    # Unchanged files are not read again.
    monkeypatch.setattr(searches, "read_trials", lambda folder: pytest.fail(f"reads {folder}"))
    without_times = re.compile(r"<time.*?</time>")
    assert without_times.sub("", report.write().read_text()) == without_times.sub("", page)


def luminance(color):
    channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(pair):
    lower, higher = sorted(luminance(color) for color in pair.split(" on "))
    return (higher + 0.05) / (lower + 0.05)


@pytest.mark.timeout(120)
def test_layout_at_all_widths_in_light_and_dark(browser, report):
    for width, scheme in ((400, "light"), (900, "dark"), (1400, "light")):
        device = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        browser.get(report.write().as_uri())
        measured = browser.execute_script(MEASURE)
        assert measured["width"] == width
        assert measured["scroll"] <= width
        assert (measured["outside"], measured["overlaps"], measured["cut"]) == ([], [], [])
        assert len(measured["contrasts"]) >= 4
        for pair in measured["contrasts"]:
            assert contrast(pair) > 4.5, (scheme, pair)
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        assert browser.current_url in requests
        assert [url for url in requests if url != browser.current_url and not url.startswith("data:")] == []
        assert browser.get_log("browser") == []  # errors
        assert re.fullmatch(r" \(.+ ago\)", browser.execute_script("return document.querySelector('time').nextElementSibling.textContent"))


@pytest.mark.timeout(120)
def test_live_page_reloads_and_keeps_its_state(browser, report):
    browser.get("about:blank")  # if the page were still open, its address with a #place would only scroll it
    browser.get(report.write(refresh_seconds=3).as_uri() + "#comparison")  # the place in the address must not stop the reload
    unfold = "document.querySelectorAll('details').forEach((fold, index) => fold.open = index === 1)"
    browser.execute_script(f"window.before = true; {unfold}; scrollTo(0, 700)")
    report.write()  # the reloaded page is not live
    WebDriverWait(browser, TIMEOUT_SECONDS).until(lambda _: not browser.execute_script("return window.before"))
    state = browser.execute_script("return [scrollY, ...[...document.querySelectorAll('details')].map(fold => fold.open)]")
    assert state[:4] == [700, False, True, False]
