"""Snapshots of a strategy's state, so that a restart need not replay the whole journal. The journal remains the only source of truth.

A snapshot is one JSON line, followed by the state:

  {"rows": 1234, "journal": SHA-256 of the journal's first 1234 lines, "state": SHA-256 of what follows}

These checksums show whether a snapshot is damaged or belongs to another journal; such a snapshot is skipped.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterator

from nasnet_tf.base.files import replace_file

_PATTERN = "strategy-*.snapshot"
_KEPT = 2  # number of snapshots kept, because a crash may damage the newest one


def write_snapshot(workdir: pathlib.Path, rows: int, journal_digest: str, state: bytes) -> None:
    """Writes a snapshot; keeps the previous one and removes older ones.

    Args:
      workdir: work folder of the search.
      rows: number of journal lines that the state includes.
      journal_digest: SHA-256 of these lines, hexadecimal.
      state: state of the strategy.
    """
    head = json.dumps({"rows": rows, "journal": journal_digest, "state": hashlib.sha256(state).hexdigest()}).encode()
    path = workdir / _PATTERN.replace("*", f"{rows:010d}")
    replace_file(path, head + b"\n" + state)
    for old in sorted(workdir.glob(_PATTERN))[:-_KEPT]:
        old.unlink()


def read_snapshots(workdir: pathlib.Path) -> Iterator[tuple[pathlib.Path, int, str, bytes]]:
    """Yields (path, rows, digest of the journal, state) of each valid snapshot, newest first; prints a line for each damaged one."""
    for path in sorted(workdir.glob(_PATTERN), reverse=True):
        head, _, state = path.read_bytes().partition(b"\n")
        try:
            values = json.loads(head)
            rows, journal_digest, state_digest = (values[key] for key in ("rows", "journal", "state"))
        except (ValueError, KeyError, TypeError):
            state_digest = None
        if state_digest != hashlib.sha256(state).hexdigest():
            print(f"{path}: damaged; skipped")
            continue
        yield path, rows, journal_digest, state
