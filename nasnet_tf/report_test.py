"""Tests of the command report while a search runs."""

import contextlib
import signal
import subprocess
import sys

from nasnet_tf.base.files import replace_file
from nasnet_tf.testing import TIMEOUT_SECONDS, until
from nasnet_tf.viz.report.searches_test import write_journal


def wait_until(condition, process):
    def holds():
        assert process.poll() is None, process.communicate()
        return condition()

    until(holds)


def test_the_page_follows_a_search_until_interrupted(tmp_path):
    journal, page = tmp_path / "journal.jsonl", tmp_path / "report.html"
    write_journal(tmp_path / "whole", 3, "@RandomSearch()")
    lines = (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "whole" / "journal.jsonl").unlink()
    journal.write_text(lines[0][:30])  # as if the first line were just being written
    command = [sys.executable, "-m", "nasnet_tf.report", f"--workdir={tmp_path}", "--follow_seconds=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for content, words in (
            (None, "No results yet"),
            (lines[:2], "No trial has a reward yet; 1 trials"),
            ([*lines[:4], lines[4][:9]], "The best cells: trial 0"),
        ):
            if content:
                replace_file(journal, "".join(content))  # replaced in one step, because the command may be reading it
            # The old page is removed, so that the check below sees a new one.
            with contextlib.suppress(FileNotFoundError):
                page.unlink()
            wait_until(lambda words=words: page.is_file() and words in page.read_text(), process)
            assert 'http-equiv="refresh" content="1"' in page.read_text()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        assert (process.returncode, stderr) == (0, "")
        assert stdout.splitlines()[-1] == f"report: {page}"
        assert "http-equiv" not in page.read_text()
    finally:
        process.kill()
