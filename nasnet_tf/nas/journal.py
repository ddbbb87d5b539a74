"""The trial journal: an append-only file that holds the truth of a search.

One JSON object a line, forced to disk before anything acts on it. The first line says which search this is; every other line is an event
of one trial:

  {"event": "search", "time": unix seconds, "identity": {...}}
  {"event": "proposed", "time": ..., "trial": 0, "genotype": textproto, "hash": "...", "decisions": [...], "log_probs": [...]}
  {"event": "finished", "time": ..., "trial": 0, "attempt": 1, "reward": 0.93, "seconds": 12.3, "metrics": {...}}
  {"event": "failed", "time": ..., "trial": 0, "attempt": 1, "seconds": 3.2, "reason": "..."}
  {"event": "infeasible", "time": ..., "trial": 0, "attempt": 1, "seconds": 3.2, "reason": "..."}

A trial of an architecture that was rewarded before is finished with "reused_from" and is not trained again.
"""

import dataclasses
import fcntl
import json
import os
import pathlib
import time

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import Genotype, parse_genotype

NAME = "journal.jsonl"


@dataclasses.dataclass
class Trial:
    """One proposed architecture and what became of it.

    Attributes:
      status: "running" (or to be run again), "finished", "failed" (an execution failed; final if no more are allowed), "infeasible".
      reward: validation accuracy in [0, 1], of finished trials.
      seconds: spent on all its executions.
      metrics: what the evaluator reported besides: parameters, mult_adds, ...
      reason: of the last failure.
      attempts: executions that ended.
    """

    number: int
    genotype: Genotype
    hash: str
    decisions: tuple[int, ...]
    log_probs: tuple[float, ...]
    status: str = "running"
    reward: float | None = None
    seconds: float = 0.0
    metrics: dict = dataclasses.field(default_factory=dict)
    reason: str = ""
    attempts: int = 0
    finished_time: float | None = None


class Journal:
    """The one writer of a work folder's journal; holds its lock until closed.

    Raises:
      InputError: another process writes it, it belongs to another search, or it is damaged before its last line.
    """

    def __init__(self, workdir: pathlib.Path, identity: dict):
        workdir.mkdir(parents=True, exist_ok=True)
        path = workdir / NAME
        # Opened without truncating: the file is locked first and read afterwards.
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputError(f"{workdir}: another search is running in this work folder") from error
        try:
            self.events, size = _parse(self._file.read(), path)
            self._file.truncate(size)  # a line that a kill cut short was never acted on
            identity = json.loads(json.dumps(identity))
            if self.events:
                _check_identity(self.events[0]["identity"], identity, workdir)
            else:
                self.append("search", identity=identity)
        except BaseException:
            self.close()
            raise

    def append(self, event: str, **values) -> dict:
        """Writes one event and waits until it is on disk."""
        row = {"event": event, "time": round(time.time(), 3), **values}
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"the journal took {written} of {len(line)} bytes: is the disk full?")
        os.fsync(self._file.fileno())
        self.events.append(row)
        return row

    def close(self) -> None:
        """Releases the lock."""
        self._file.close()


def _parse(content: bytes, path: pathlib.Path) -> tuple[list[dict], int]:
    """The events, and the size of the part that is whole."""
    events, size = [], 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            if not line.endswith(b"\n") or "event" not in event:
                raise ValueError("not a whole event")
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(f"{path}: line {number} is damaged ({error}); every line but the last must be a JSON object") from error
        events.append(event)
        size += len(line)
    if events and events[0]["event"] != "search":
        raise InputError(f"{path}: the first line must be the event 'search', got {events[0]['event']!r}")
    return events, size


def _check_identity(old: dict, new: dict, workdir: pathlib.Path) -> None:
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            raise InputError(f"{workdir}: holds another search: {key} was {old.get(key)!r}, is {new.get(key)!r}; use another work folder")


def apply_event(trials: list[Trial], row: dict) -> None:
    """Brings the list of trials up to date with one event."""
    if row["event"] == "search":
        return
    if row["event"] == "proposed":
        genotype = parse_genotype(row["genotype"], f"journal, trial {row['trial']}")
        trials.append(Trial(row["trial"], genotype, row["hash"], tuple(row["decisions"]), tuple(row["log_probs"])))
        return
    trial = trials[row["trial"]]
    trial.status, trial.attempts, trial.finished_time = row["event"], row["attempt"], row["time"]
    trial.seconds += row["seconds"]
    trial.reason = row.get("reason", "")
    trial.reward = row.get("reward")
    trial.metrics = row.get("metrics", {})


def _read(workdir: pathlib.Path) -> list[dict]:
    path = workdir / NAME
    if not path.is_file():
        raise InputError(f"{workdir}: holds no search; expected a file {NAME} there")
    events, _ = _parse(path.read_bytes(), path)
    if not events:
        raise InputError(f"{path}: is empty")
    return events


def read_trials(workdir: pathlib.Path) -> list[Trial]:
    """All trials of a work folder, in the order they were proposed; reading disturbs no running search."""
    trials: list[Trial] = []
    for row in _read(workdir):
        apply_event(trials, row)
    return trials


def read_identity(workdir: pathlib.Path) -> dict:
    """What the first line says the search is."""
    return _read(workdir)[0]["identity"]
