"""The journal of a search: an append-only file from which the state of the search can be restored.

Each line is one event of nasnet_tf.nas.trials.events as JSON. It is synced to disk before anything acts on it. The first line identifies
the search.

Hashes of architectures follow the rules of the current version. If the file was written under older rules, they are computed again.
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
    """One line of the journal.

    Attributes:
      line: number of the line, from 1.
      event: the event on the line.
      digest: SHA-256 of the file up to the end of the line, hexadecimal.
    """

    line: int
    event: Event
    digest: str


class Journal:
    """Writes the journal of a work folder, and holds its lock until it is closed.

    If the file belongs to another search in which nothing was rewarded, it is overwritten.

    Attributes:
      num_rows: number of events in the file.
      begun_by: version of the package that began the file.

    Raises:
      InputError: another process is writing the file, it belongs to another search, or a line other than the last is damaged.
    """

    def __init__(self, workdir: pathlib.Path, identity: Identity):
        make_folder(workdir)
        self._path = workdir / NAME
        # Opened without truncation, because the file is read after it is locked.
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), "r+b", buffering=0)
        sync_folder(workdir)
        if not lock(self._file, self._path):
            self._file.close()
            raise InputError(f"{workdir}: another search is running in this work folder; wait until it ends, or use another one")
        try:
            content = self._file.read()
            whole = _whole_size(content)
            self._file.truncate(whole)  # removes a last line that a kill cut short; nothing has acted on it
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
        """Reads all rows of the file, from the first."""
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
                raise OSError(f"{self._path}: wrote only {written} of {len(line)} bytes; is the disk full?")
            os.fsync(self._file.fileno())
        self._hash.update(line)
        self.num_rows += 1

    def close(self) -> None:
        """Releases the lock."""
        self._file.close()


def _whole_size(content: bytes) -> int:
    """Returns the number of bytes up to the end of the last complete line. A last line that is not an event counts as incomplete."""
    last = content[content.rfind(b"\n", 0, len(content) - 1) + 1 :]
    return len(content) if last.endswith(b"\n") and _parsed(last) is not None else len(content) - len(last)


def _parsed(line: bytes) -> dict | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "event" in values else None


def _rows(path: pathlib.Path) -> Iterator[Row]:
    """Yields the rows of a file, without a last line that is cut short or still being written."""
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
        raise InputError(f"expected an object 'identity' that identifies the search, got {values.get('identity')!r}")
    if is_old and "CONCAT" in str(values.get("genotype")):  # other genotypes have the same hash in all versions
        values["hash"] = genotype_hash(parse_genotype(values["genotype"], "genotype"))
    return from_json(values)


@contextlib.contextmanager
def located(path: pathlib.Path, line: int) -> Iterator[None]:
    """Prefixes the message of an InputError with the path and the number of the line."""
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
    """Returns all trials of a work folder, in the order they were proposed. It is safe while the search is running."""
    trials: list[Trial] = []
    for row in _read(workdir):
        with located(workdir / NAME, row.line):
            apply_event(trials, row.event)
    return trials


def read_spent(workdir: pathlib.Path) -> float:
    """Returns the time in seconds that a search has spent before its trials, for example on shared weights."""
    return sum(row.event.seconds for row in _read(workdir) if isinstance(row.event, Spent))


def read_identity(workdir: pathlib.Path) -> dict:
    """Returns the identity of the search, from the first line of its journal."""
    for row in _read(workdir):
        return row.event.identity
    raise InputError(f"{workdir / NAME}: the file is empty; expected a line that identifies the search")
