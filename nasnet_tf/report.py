"""Writes a page about the searches and trainings below a folder.

  # Writes runs/report.html.
  nasnet report --workdir=runs
  # Keeps the page of a running search up to date until Ctrl-C.
  nasnet report --workdir=runs/search --follow_seconds=30

Guide: docs/search.md
"""

import math
import pathlib
import signal
import sys
import time

from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import command, flags

_CHECK_SECONDS = 0.1  # seconds between checks for an interruption
_MAX_BUSY_FRACTION = 0.1  # a page of 20,000 trials takes seconds to write, and this time must not slow down the search


def main(arguments: list[str]) -> None:
    """Writes report.html once, or again and again until interrupted."""
    from nasnet_tf.viz.report.report import Report

    report, seconds = Report(pathlib.Path(flags.FLAGS.workdir)), flags.FLAGS.follow_seconds
    if seconds is not None and not math.isfinite(seconds):
        raise InputError(f"--follow_seconds: expected a finite number of seconds, got {seconds}")
    if seconds is not None:
        _follow(report, seconds)
    print(f"report: {report.write()}")
    if flags.FLAGS.csv:
        _write_tables(pathlib.Path(flags.FLAGS.workdir))


def _write_tables(workdir: pathlib.Path) -> None:
    from nasnet_tf.nas.trials.journal import NAME as JOURNAL
    from nasnet_tf.nas.trials.table import read_search

    folders = [workdir, *sorted(path for path in workdir.iterdir() if path.is_dir())]
    for folder in folders:
        if (folder / JOURNAL).is_file():
            read_search(folder).to_csv(folder / "trials.csv")
            print(f"trials: {folder / 'trials.csv'}")


def _follow(report, seconds: float) -> None:
    # A flag instead of KeyboardInterrupt, which was once swallowed by the code that it interrupted, so that the page was written forever.
    interrupted = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    try:
        while not interrupted:
            began = time.monotonic()
            try:
                print(f"report: {report.write(seconds)}", flush=True)
            except InputError as error:
                print(f"{error}; trying again later", file=sys.stderr, flush=True)
            took = time.monotonic() - began
            due = began + max(seconds + took, took / _MAX_BUSY_FRACTION)
            while not interrupted and time.monotonic() < due:
                time.sleep(_CHECK_SECONDS)
    finally:
        signal.signal(signal.SIGINT, before)


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_workdir_flag("A work folder of a search, training or tuning, or a folder of such folders.")
    flags.DEFINE_float("follow_seconds", None, "Seconds between updates of the page. A browser reloads it. Ctrl-C ends.", lower_bound=1.0)
    flags.DEFINE_bool("csv", False, "Also write the trials of each search to trials.csv in its folder.")


if __name__ == "__main__":
    command.run(main, define_flags)
