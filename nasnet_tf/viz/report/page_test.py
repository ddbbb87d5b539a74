"""The report of several searches, by what is in it and in a real browser without a window: measured, not looked at."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.trial import architectures
from nasnet_tf.viz.report import searches
from nasnet_tf.viz.report.report import Report
from nasnet_tf.viz.report.searches_test import check, write_journal, write_retraining

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

# Boxes of texts in pictures that cover each other; elements that stick out of the page; pairs of colours of text and what is behind it.
MEASURE = """(() => {
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
  for (const element of document.body.querySelectorAll("h1,h2,h3,p,a,b,span,td,th,summary,pre,figcaption")) {
    let behind = element;
    while (behind.parentElement && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    seen.add(getComputedStyle(element).color + " on " + getComputedStyle(behind).backgroundColor);
  }
  result.contrasts = [...seen];
  return result;
})()"""


class Browser:
    """Speaks the DevTools protocol through two pipes: one JSON object, then a zero byte."""

    def __init__(self, profile: pathlib.Path):
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        # It reads from descriptor 3 and writes to 4; far from these first, so that neither overwrites the other.
        far = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [CHROMIUM, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(3, 4),
            preexec_fn=lambda: [os.dup2(end, place) for place, end in enumerate(far, 3)],
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *far):
            os.close(end)
        self._buffer, self._last, self.events, self._session = b"", 0, [], None
        (target,) = (info for info in self.call("Target.getTargets")["targetInfos"] if info["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            received = os.read(self._in, 1 << 16)
            assert received, "the browser is gone"
            self._buffer += received
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def wait_for(self, method: str) -> None:
        """Until an event has come since the last call of this or of open."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def open(self, path: pathlib.Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(timeout=120)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


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


def test_several_searches_and_a_retraining(report, folder, monkeypatch):
    page = report.write().read_text()
    checker = check(page)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    rewards = {name: [trial.reward for trial in architectures(read_trials(folder / name))] for name in ("ppo", "random")}
    top_5 = f"{np.mean(sorted(rewards['random'])[-5:]):.4f}"
    assert checker.cells[0] == "ppo (PPOSearch)"
    assert checker.cells[6:11] == ["random (RandomSearch)", str(len(rewards["random"])), f"{max(rewards['random']):.4f}", top_5, "-"]
    assert checker.cells[13] == f"{max(rewards['ppo'][: len(rewards['random'])]):.4f}"  # after as many architectures
    assert page.count("<h2") == 3  # the retraining is no search of its own
    for text in ("Retrained", "0.9731", "test accuracy of the winner", "predicted, stopped after epoch 2"):
        assert text in page
    assert page.count("Entropy of the policy") == 1  # random search has no policy
    died = next(place for place, cell in enumerate(checker.cells) if cell.startswith("<child"))
    assert checker.cells[died - 4 : died] == ["failed", "35", "7, 27, 47, 67, 87, ...", "35"]
    # What did not change is not read again.
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
def test_page_at_all_widths_by_day_and_by_night(browser, report):
    for width, scheme in ((400, "light"), (900, "dark"), (1400, "light")):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(report.write())
        measured = browser.evaluate(MEASURE)
        assert measured["width"] == width
        assert measured["scroll"] <= width
        assert (measured["outside"], measured["overlaps"], measured["cut"]) == ([], [], [])
        assert len(measured["contrasts"]) >= 4
        for pair in measured["contrasts"]:
            assert contrast(pair) > 4.5, (scheme, pair)
        requests = [event["params"]["request"]["url"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert [event for event in browser.events if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")] == []
        assert re.fullmatch(r" \(.+ ago\)", browser.evaluate("document.querySelector('time').nextElementSibling.textContent"))


@pytest.mark.timeout(120)
def test_live_page_renews_itself_and_stays_where_it_was_read(browser, report):
    browser.open(report.write(refresh_seconds=3))
    browser.evaluate("document.querySelectorAll('details').forEach((fold, index) => fold.open = index === 1); scrollTo(0, 700)")
    browser.events.clear()
    report.write()  # what it finds stands still
    browser.wait_for("Page.loadEventFired")  # of itself
    state = browser.evaluate("[scrollY, ...[...document.querySelectorAll('details')].map(fold => fold.open)]")
    assert state[:4] == [700, False, True, False]
