"""Work folders: which kind of work one holds, and who is at work in it.

A folder belongs to a configuration once something was rewarded or saved there. Until then a mistake costs nothing: the corrected command
begins anew.
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
# By what it is seen that a folder is somebody's; of a search its rewards besides.
_KEPT = {
    "a training": ("checkpoints/*.index",),
    "a tuning": ("trials/*/result.json", "trials/*/checkpoints/*.index"),
    "a search": ("trained/*/checkpoints/*.index", "shared/weights.npz"),
    "an export": ("manifest.json", "saved_model.pb"),
}
# What a kind of work writes before anything is rewarded or saved. Whatever else is in a folder is never removed.
_BEGINNINGS = {
    "training": (CONFIG_NAME, "checkpoints", "logs", "metrics.jsonl", "model.json", "data.json", "training.json", "corrupt_images.txt"),
    "tuning": (CONFIG_NAME, "trials", "keras_tuner"),
    "search": (_JOURNAL, CONFIG_NAME, "children", "logs", "metrics.jsonl", "prior.json", "rates.json", "rungs", "shared", "trained"),
}


def has_saved(folder: pathlib.Path) -> bool:
    """Whether anything was rewarded or saved there, of whatever kind."""
    return any(True for _ in _kept(folder))


def _kept(folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(what, by which file or folder that is seen) of each kind of work that has rewarded or saved something there."""
    for what, patterns in _KEPT.items():
        for path in (path for pattern in patterns for path in folder.glob(pattern)):
            yield what, path.relative_to(folder).parts[0]
            break
    if (folder / _JOURNAL).is_file():
        with (folder / _JOURNAL).open("rb") as lines:
            if any(map(_is_reward, lines)):
                yield "a search", _JOURNAL


def _is_reward(line: bytes) -> bool:
    """Whether a line of a journal says that a trial was rewarded; a damaged one may have, but not the one that a kill cut short."""
    try:
        return json.loads(line)["event"] == "finished"
    except (ValueError, TypeError, KeyError):
        return line.endswith(b"\n")


def check_kind(folder: pathlib.Path, kind: str) -> None:
    """Raises InputError where something else than a "search", "training" or "tuning" has rewarded or saved something in the folder."""
    for what, mark in _kept(folder):
        if what != f"a {kind}":
            raise InputError(f"{folder}: expected a folder for a {kind}, but it holds {what} ({mark}); take another --workdir")


@contextlib.contextmanager
def at_work(folder: pathlib.Path, kind: str) -> Iterator[None]:
    """Nobody else is at work in this folder inside the `with`. A mistake before anything was rewarded or saved leaves nothing behind.

    Args:
      kind: "search", "training" or "tuning".

    Raises:
      InputError: somebody is, or the folder is of another kind.
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
            raise InputError(f"{folder}: {'another' if other == kind else 'a'} {other} is running in this work folder")
        _sign(file, path, kind)
        if kind != "search":
            (folder / _JOURNAL).unlink(missing_ok=True)  # of a search that only began, for no page to tell of both
        try:
            yield
        except InputError:
            if not has_saved(folder):
                _take_back(folder, {_LOCK, *_BEGINNINGS[kind]} - before, missing)
            raise


@contextlib.contextmanager
def sole_writer(folder: pathlib.Path) -> Iterator[None]:
    """Nobody else writes in this folder inside the `with`, whoever calls: a command, a child of a search or somebody's own script.

    What a killed search leaves behind ends within seconds, and is waited for. The lock ends with the process that has it.

    Args:
      folder: of checkpoints or weights; made where it is missing.

    Raises:
      FolderInUse: another process writes there.
    """
    make_folder(folder)
    path, end = folder / _LOCK, time.monotonic() + _PATIENCE_SECONDS
    with path.open("a+") as file:
        while not lock(file, path):
            if time.monotonic() > end:
                file.seek(0)
                raise FolderInUse(f"{folder}: {file.read() or 'another process'} writes there; wait for its end, or take another folder")
            time.sleep(0.1)
        _sign(file, path, f"process {os.getpid()} of {socket.gethostname()}")
        yield


def _sign(file: IO[str], path: pathlib.Path, text: str) -> None:
    """Writes into a lock who has it."""
    with naming(path):
        file.truncate(0)
        file.write(text)
        file.flush()


def _take_back(folder: pathlib.Path, names: Iterable[str], missing: Iterable[pathlib.Path]) -> None:
    """Removes what was made, where it was made, and the folders around it that were missing, unless somebody put something there."""
    for path in (folder / name for name in names):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for path in missing:
            path.rmdir()
