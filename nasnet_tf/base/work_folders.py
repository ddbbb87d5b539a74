"""Work folders: tells which kind of work a folder holds, and locks it so that only one process works in it.

A folder belongs to its configuration once a trial was rewarded or a checkpoint was saved there. If a command fails earlier because of a
mistake in its input, its files are removed again, so that the corrected command starts afresh.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from typing import IO

from nasnet_tf.base.errors import FolderInUse, InputError
from nasnet_tf.base.files import lock, make_folder, naming
from nasnet_tf.base.identity import CONFIG_NAME

_LOCK = "lock"
_JOURNAL = "journal.jsonl"
_PATIENCE_SECONDS = 10.0
# Files whose presence shows that a folder is in use, by kind of work. A search is also recognized by the rewards in its journal.
_KEPT = {
    "a training": ("checkpoints/*.index",),
    "a tuning": ("trials/*/result.json", "trials/*/checkpoints/*.index"),
    "a search": ("rungs/*/checkpoints/*.index", "trained/*/checkpoints/*.index", "shared/weights.npz"),
    "an export": ("manifest.json", "saved_model.pb"),
}
# Files that each kind of work writes before the first reward or checkpoint. No other files in a folder are ever removed.
_BEGINNINGS = {
    "training": (CONFIG_NAME, "checkpoints", "logs", "metrics.jsonl", "model.json", "data.json", "training.json", "corrupt_images.txt"),
    "tuning": (CONFIG_NAME, "trials", "keras_tuner"),
    "search": (_JOURNAL, CONFIG_NAME, "children", "logs", "metrics.jsonl", "prior.json", "rates.json", "rungs", "shared", "trained"),
}


def has_saved(folder: pathlib.Path) -> bool:
    """Returns whether work of any kind has recorded a reward or saved something in the folder."""
    return any(True for _ in _kept(folder))


def _kept(folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields (kind of work, name of the file or folder that shows it) for all work that recorded a reward or saved something."""
    for what, patterns in _KEPT.items():
        for path in (path for pattern in patterns for path in folder.glob(pattern)):
            yield what, path.relative_to(folder).parts[0]
            break
    if (folder / _JOURNAL).is_file():
        with (folder / _JOURNAL).open("rb") as lines:
            if any(map(_is_reward, lines)):
                yield "a search", _JOURNAL


def _is_reward(line: bytes) -> bool:
    """Returns whether a line of a journal is, or may be, the record of a reward.

    A damaged line may be one. A line without its newline was cut short by a kill and counts as none.
    """
    try:
        return json.loads(line)["event"] == "finished"
    except (ValueError, TypeError, KeyError):
        return line.endswith(b"\n")


def check_kind(folder: pathlib.Path, kind: str) -> None:
    """Raises InputError if work of another kind has recorded a reward or saved something in the folder.

    Args:
      folder: the work folder.
      kind: "search", "training" or "tuning".
    """
    for what, mark in _kept(folder):
        if what != f"a {kind}":
            raise InputError(f"{folder}: expected a folder for a {kind}, but it holds {what} ({mark}); use another --workdir")


@contextlib.contextmanager
def at_work(folder: pathlib.Path, kind: str) -> Iterator[None]:
    """Locks a work folder inside the `with`, and creates it if it is missing.

    If the body raises InputError before a reward was recorded or anything was saved, the files that it created are removed.

    Args:
      folder: the work folder.
      kind: "search", "training" or "tuning".

    Raises:
      InputError: another process is at work in the folder, or it holds another kind of work.
    """
    check_kind(folder, kind)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    before = {path.name for path in folder.iterdir()}
    path = folder / _LOCK
    with path.open("a+") as file:
        if not lock(file, path):
            file.seek(0)
            other = file.read() or kind
            who = f"{'another' if other == kind else 'a'} {other}"
            raise InputError(f"{folder}: {who} is running in this work folder; wait until it ends, or use another --workdir")
        _sign(file, path, kind)
        if kind != "search":
            # An earlier search without rewards may have left its journal. The report would show that search together with the new work.
            (folder / _JOURNAL).unlink(missing_ok=True)
        try:
            yield
        except InputError:
            if not has_saved(folder):
                _take_back(folder, {_LOCK, *_BEGINNINGS[kind]} - before, missing)
            raise


@contextlib.contextmanager
def sole_writer(folder: pathlib.Path) -> Iterator[None]:
    """Locks a folder inside the `with`, so that no other process writes to it: a command, a child of a search or a script of the user.

    Waits up to 10 seconds for the lock, because children of a killed search take a few seconds to end. The lock is released when its
    process ends.

    Args:
      folder: folder for checkpoints or weights; created if it is missing.

    Raises:
      FolderInUse: another process still holds the lock.
    """
    make_folder(folder)
    path, end = folder / _LOCK, time.monotonic() + _PATIENCE_SECONDS
    with path.open("a+") as file:
        while not lock(file, path):
            if time.monotonic() > end:
                file.seek(0)
                raise FolderInUse(f"{folder}: {file.read() or 'another process'} writes there; wait until it ends, or use another folder")
            time.sleep(0.1)
        _sign(file, path, f"process {os.getpid()} of {socket.gethostname()}")
        yield


def _sign(file: IO[str], path: pathlib.Path, text: str) -> None:
    """Writes the holder of a lock into the lock file."""
    with naming(path):
        file.truncate(0)
        file.write(text)
        file.flush()


def _take_back(folder: pathlib.Path, names: Iterable[str], missing: Iterable[pathlib.Path]) -> None:
    """Removes files and folders that a failed command created.

    Args:
      folder: the work folder.
      names: what to remove from it.
      missing: folders that did not exist before; each is removed if it is empty.
    """
    for path in (folder / name for name in names):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for path in missing:
            path.rmdir()
