"""The door that follows a search."""

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


def test_follows_until_interrupted(tmp_path):
    journal, page = tmp_path / "journal.jsonl", tmp_path / "report.html"
    write_journal(tmp_path / "whole", 3, "@RandomSearch()")
    lines = (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "whole" / "journal.jsonl").unlink()
    journal.write_text(lines[0][:30])  # the first line is being written
    command = [sys.executable, "-m", "nasnet_tf.report", f"--workdir={tmp_path}", "--follow_seconds=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for content, words in (
            (None, "No results yet"),
            (lines[:2], "No trial has a reward yet; 1 trials"),
            ([*lines[:4], lines[4][:9]], "The best cells: trial 0"),
        ):
            if content:
                replace_file(journal, "".join(content))  # at once: it may be being read
            # A page that is not there yet, as at first.
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
