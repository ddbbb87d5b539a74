"""The trial journal: an append-only file that holds the truth of a search.

Each line is one event of nasnet_tf.nas.trials.events, as JSON, forced to disk before anything acts on it. The first line says which search
this is.

Hashes are read as those of today's version, whichever the file has: where rules have changed since, they are computed anew.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import lock, make_folder, naming, sync_folder
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import HASH_VERSION, genotype_hash, parse_genotype
from nasnet_tf.nas.trials.events import Begun, Event, Spent, from_json
from nasnet_tf.nas.trials.trial import Trial, apply_event
from nasnet_tf.version import __version__

NAME = "journal.jsonl"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the file.

    Attributes:
      line: its number, from 1.
      event: what it says.
      digest: SHA-256 of the file up to the end of the line, hexadecimal.
    """

    line: int
    event: Event
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
            row = next(self.rows(), None)
            first = row and row.event
            if first is not None and identity.difference(first.identity) is not None:
                if work_folders.has_saved(workdir):
                    identity.check(workdir, first.identity, "search")
                self._file.truncate(0)
                self._hash, self.num_rows, first = hashlib.sha256(), 0, None
            if first is None:
                first = Begun(identity=identity.lasting(), version=__version__, hash_version=HASH_VERSION)
                self.append(first)
            self.begun_by = first.version
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

    def append(self, event: Event) -> None:
        """Writes one event and waits until it is on disk."""
        line = json.dumps(event.to_json(), allow_nan=False).encode() + b"\n"
        with naming(self._path):
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"{self._path}: took {written} of {len(line)} bytes: is the disk full?")
            os.fsync(self._file.fileno())
        self._hash.update(line)
        self.num_rows += 1

    def close(self) -> None:
        """Releases the lock."""
        self._file.close()


def _whole_size(content: bytes) -> int:
    """Bytes up to the end of the last whole line; a last line that is no event counts as cut short too."""
    last = content[content.rfind(b"\n", 0, len(content) - 1) + 1 :]
    return len(content) if last.endswith(b"\n") and _parsed(last) is not None else len(content) - len(last)


def _parsed(line: bytes) -> dict | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "event" in values else None


def _rows(path: pathlib.Path) -> Iterator[Row]:
    """The events of a file; a last line that is cut short, or is being written, is left out."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        upcoming, is_old = iter(file), False
        line, number = next(upcoming, None), 1
        while line is not None:
            following = next(upcoming, None)
            values = _parsed(line) if line.endswith(b"\n") else None
            if values is None:
                if following is None:
                    return
                raise InputError(f"{path}: line {number} is damaged; every line but the last must be a JSON object with an event")
            with located(path, number):
                event = _event(values, is_first=number == 1, is_old=is_old)
            digest.update(line)
            if number == 1:
                is_old = event.hash_version < HASH_VERSION
            yield Row(number, event, digest.hexdigest())
            line, number = following, number + 1


def _event(values: dict, is_first: bool, is_old: bool) -> Event:
    if (values["event"] == Begun.kind) != is_first:
        raise InputError(f"expected the event 'search' in the first line and nowhere else, got {values['event']!r}")
    if is_first and not isinstance(values.get("identity"), dict):
        raise InputError(f"expected what the search is, as an object 'identity', got {values.get('identity')!r}")
    if is_old and "CONCAT" in str(values.get("genotype")):  # all others have the same hash in all versions
        values["hash"] = genotype_hash(parse_genotype(values["genotype"], "genotype"))
    return from_json(values)


@contextlib.contextmanager
def located(path: pathlib.Path, line: int) -> Iterator[None]:
    """Puts the place of the line before the message of an InputError about it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: line {line}: {error}") from error


def _read(workdir: pathlib.Path) -> Iterable[Row]:
    path = workdir / NAME
    if not path.is_file():
        raise InputError(f"{workdir}: holds no search; expected a file {NAME} there")
    return _rows(path)


def read_trials(workdir: pathlib.Path) -> list[Trial]:
    """Returns all trials of a work folder, in the order they were proposed; reading disturbs no running search."""
    trials: list[Trial] = []
    for row in _read(workdir):
        with located(workdir / NAME, row.line):
            apply_event(trials, row.event)
    return trials


def read_spent(workdir: pathlib.Path) -> float:
    """Returns the seconds that a search has spent before its trials, as on shared weights."""
    return sum(row.event.seconds for row in _read(workdir) if isinstance(row.event, Spent))


def read_identity(workdir: pathlib.Path) -> dict:
    """Returns what the first line says the search is."""
    for row in _read(workdir):
        return row.event.identity
    raise InputError(f"{workdir / NAME}: is empty")
