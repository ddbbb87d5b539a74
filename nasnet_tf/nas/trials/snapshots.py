"""Snapshots of a strategy's state: they spare a restart the replay of the whole journal. The journal stays the truth.

A snapshot is one JSON line, then the state:

  {"rows": 1234, "journal": SHA-256 of the journal's first 1234 lines, "state": SHA-256 of what follows}

so one that is damaged, or that belongs to another journal, is recognized and passed over.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterator

from nasnet_tf.base.files import replace_file

_PATTERN = "strategy-*.snapshot"
_KEPT = 2  # the last may be hit by the crash it is there for


def write_snapshot(workdir: pathlib.Path, rows: int, journal_digest: str, state: bytes) -> None:
    """Writes a strategy's state after so many lines of the journal; keeps the snapshot before and removes older ones."""
    head = json.dumps({"rows": rows, "journal": journal_digest, "state": hashlib.sha256(state).hexdigest()}).encode()
    path = workdir / _PATTERN.replace("*", f"{rows:010d}")
    replace_file(path, head + b"\n" + state)
    for old in sorted(workdir.glob(_PATTERN))[:-_KEPT]:
        old.unlink()


def read_snapshots(workdir: pathlib.Path) -> Iterator[tuple[pathlib.Path, int, str, bytes]]:
    """(path, rows, digest of the journal, state) of each undamaged snapshot, newest first; says which are damaged."""
    for path in sorted(workdir.glob(_PATTERN), reverse=True):
        head, _, state = path.read_bytes().partition(b"\n")
        try:
            values = json.loads(head)
            rows, journal_digest, state_digest = (values[key] for key in ("rows", "journal", "state"))
        except (ValueError, KeyError, TypeError):
            state_digest = None
        if state_digest != hashlib.sha256(state).hexdigest():
            print(f"{path}: damaged; passed over")
            continue
        yield path, rows, journal_digest, state
