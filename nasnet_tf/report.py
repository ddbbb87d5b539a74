"""Writes a page about the searches and trainings below a folder: python -m nasnet_tf.report --workdir=runs/quickstart.

With --follow_seconds=30 it writes the page again and again while a search goes on, until it is interrupted, and the page renews itself.
"""

import pathlib
import signal
import sys
import time

from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import command, flags

_GLANCE_SECONDS = 0.1  # between looks whether it was interrupted
_MOST_OF_THE_TIME = 0.1  # a page of 20,000 trials takes seconds to write: they must not be taken from the search


def main(arguments: list[str]) -> None:
    """Writes report.html, once or until interrupted."""
    from nasnet_tf.viz.report.report import Report

    report, seconds = Report(pathlib.Path(flags.FLAGS.workdir)), flags.FLAGS.follow_seconds
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
    # A flag, not KeyboardInterrupt: once that was raised where it was swallowed without a word, and the page was written on and on.
    interrupted = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    try:
        while not interrupted:
            began = time.monotonic()
            try:
                print(f"report: {report.write(seconds)}", flush=True)
            except InputError as error:
                print(f"{error}; looking again later", file=sys.stderr, flush=True)
            took = time.monotonic() - began
            due = began + max(seconds + took, took / _MOST_OF_THE_TIME)
            while not interrupted and time.monotonic() < due:
                time.sleep(_GLANCE_SECONDS)
    finally:
        signal.signal(signal.SIGINT, before)


def define_flags() -> None:
    """The flags of this door."""
    flags.define_workdir_flag("Of a search, of a training, or a folder of such folders.")
    flags.DEFINE_float("follow_seconds", None, "Writes the page again every so many seconds until interrupted.", lower_bound=1.0)
    flags.DEFINE_bool("csv", False, "Also writes trials.csv into the folder of each search: a row for each trial, with all its metrics.")


if __name__ == "__main__":
    command.run(main, define_flags)
