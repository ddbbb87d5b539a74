"""The trial journal: an append-only file that holds the truth of a search.

One JSON object a line, forced to disk before anything acts on it. The first line says which search this is; every other line is an event
of one trial:

  {"event": "search", "time": unix seconds, "identity": {...}, "version": of the package that began it,
   "hash_version": of the hashes of its architectures}
  {"event": "proposed", "time": ..., "trial": 0, "genotype": textproto, "hash": "...", "decisions": [...], "log_probs": [...]}
  {"event": "finished", "time": ..., "trial": 0, "attempt": 1, "reward": 0.93, "seconds": 12.3, "metrics": {...}}
  {"event": "failed", "time": ..., "trial": 0, "attempt": 1, "seconds": 3.2, "reason": "..."}
  {"event": "infeasible", "time": ..., "trial": 0, "attempt": 1, "seconds": 3.2, "reason": "..."}
  {"event": "taken", "time": ..., "trial": 0, "genotype": ..., "hash": ..., "decisions": ..., "log_probs": ..., "reward": 0.93,
   "metrics": {...}, "taken_from": work folder of another search}
  {"event": "spent", "time": ..., "seconds": 1234.5, "what": "shared weights"}
  {"event": "aside", "time": ..., "machine": "...", "reason": "..."}

A trial of an architecture that was rewarded before is finished with "reused_from" and is not trained again. Outcomes say the "machine",
where the engine knows it; those of one that left say "lost"; a child killed at its deadline is infeasible, "over_deadline", with the
"policy_reward" that the strategy got, if any. What failed or was killed on a machine that is put aside counts no more. Trials that were
taken over from other searches come first, and cost nothing here. With successive halving outcomes say which "rung" they are of: a trial
that has finished one may finish the next, or fail to and stay what it was.

Hashes are read as those of today's version, whichever the file has: where rules have changed since, they are worked out anew.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterable, Iterator

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import lock, make_folder, sync_folder
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import HASH_VERSION, genotype_hash, parse_genotype
from nasnet_tf.nas.trials.trial import Trial, apply_event
from nasnet_tf.version import __version__

NAME = "journal.jsonl"


@dataclasses.dataclass(frozen=True)
class Row:
    """One event of the file.

    Attributes:
      line: its number, from 1.
      event: the JSON object.
      digest: SHA-256 of the file up to its end, hexadecimal.
    """

    line: int
    event: dict
    digest: str


class Journal:
    """The one writer of a work folder's journal; holds its lock until closed.

    Attributes:
      num_rows: events in the file.
      begun_by: the version of the package that began it.

    A file of another search in which nothing was rewarded is begun anew.

    Raises:
      InputError: another process writes it, it belongs to another search, or it is damaged before its last line.
    """

    def __init__(self, workdir: pathlib.Path, identity: Identity):
        make_folder(workdir)
        self._path = workdir / NAME
        # Opened without truncating: the file is locked first and read afterwards.
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), "r+b", buffering=0)
        sync_folder(workdir)
        if not lock(self._file, self._path):
            self._file.close()
            raise InputError(f"{workdir}: another search is running in this work folder")
        try:
            content = self._file.read()
            whole = _whole_size(content)
            self._file.truncate(whole)  # a line that a kill cut short was never acted on
            self._hash = hashlib.sha256(content[:whole])
            self.num_rows = content.count(b"\n", 0, whole)
            first = next(self.rows(), None)
            is_other = first is not None and identity.difference(first.event["identity"]) is not None
            if is_other and work_folders.has_saved(workdir):
                identity.check(workdir, first.event["identity"])
            if is_other:
                self._file.truncate(0)
                self._hash, self.num_rows = hashlib.sha256(), 0
            if is_other or first is None:
                self.append("search", identity=identity.lasting(), version=__version__, hash_version=HASH_VERSION)
                self.begun_by = __version__
            else:
                self.begun_by = first.event.get("version", "0.1.0")  # which did not say
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """All events in the file, from the first."""
        return _rows(self._path)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file."""
        return self._hash.hexdigest()

    def append(self, event: str, **values) -> dict:
        """Writes one event and waits until it is on disk."""
        row = {"event": event, "time": round(time.time(), 3), **values}
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"{self._path}: took {written} of {len(line)} bytes: is the disk full?")
        os.fsync(self._file.fileno())
        self._hash.update(line)
        self.num_rows += 1
        return row

    def close(self) -> None:
        """Releases the lock."""
        self._file.close()


def _whole_size(content: bytes) -> int:
    """Bytes up to the end of the last whole line; a last line that is no event counts as cut short too."""
    last = content[content.rfind(b"\n", 0, len(content) - 1) + 1 :]
    return len(content) if last.endswith(b"\n") and _event(last) is not None else len(content) - len(last)


def _event(line: bytes) -> dict | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _rows(path: pathlib.Path) -> Iterator[Row]:
    """The events of a file; a last line that is cut short, or is being written, is left out."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        upcoming, is_old = iter(file), False
        line, number = next(upcoming, None), 1
        while line is not None:
            following = next(upcoming, None)
            event = _event(line) if line.endswith(b"\n") else None
            if event is None:
                if following is None:
                    return
                raise InputError(f"{path}: line {number} is damaged; every line but the last must be a JSON object with an event")
            if (event["event"] == "search") != (number == 1):
                raise InputError(
                    f"{path}: line {number}: expected the event 'search' in the first line and nowhere else, got {event['event']!r}"
                )
            if number == 1 and not isinstance(event.get("identity"), dict):
                raise InputError(f"{path}: line 1: expected what the search is, as an object 'identity', got {event.get('identity')!r}")
            digest.update(line)
            if number == 1:
                is_old = event.get("hash_version", 1) < HASH_VERSION
            elif is_old and "CONCAT" in str(event.get("genotype")):  # all others have one hash in all versions
                event["hash"] = genotype_hash(parse_genotype(event["genotype"], f"{path}: line {number}"))
            yield Row(number, event, digest.hexdigest())
            line, number = following, number + 1


def located(path: pathlib.Path, row: Row, error: InputError) -> InputError:
    """The error, with the place of the line it is about."""
    return InputError(f"{path}: line {row.line}: {error}")


def _read(workdir: pathlib.Path) -> Iterable[Row]:
    path = workdir / NAME
    if not path.is_file():
        raise InputError(f"{workdir}: holds no search; expected a file {NAME} there")
    return _rows(path)


def read_trials(workdir: pathlib.Path) -> list[Trial]:
    """All trials of a work folder, in the order they were proposed; reading disturbs no running search."""
    trials: list[Trial] = []
    for row in _read(workdir):
        try:
            apply_event(trials, row.event)
        except InputError as error:
            raise located(workdir / NAME, row, error) from error
    return trials


def read_spent(workdir: pathlib.Path) -> float:
    """Seconds that a search has spent before its trials, as on shared weights."""
    return sum(row.event["seconds"] for row in _read(workdir) if row.event["event"] == "spent")


def read_identity(workdir: pathlib.Path) -> dict:
    """What the first line says the search is."""
    for row in _read(workdir):
        return row.event["identity"]
    raise InputError(f"{workdir / NAME}: is empty")
