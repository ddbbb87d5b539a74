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
import functools
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterable, Iterator

from nasnet_tf import __version__, claims
from nasnet_tf.errors import InputError
from nasnet_tf.files import lock, make_folder, sync_folder
from nasnet_tf.genotype import HASH_VERSION, Genotype, genotype_hash, parse_genotype

NAME = "journal.jsonl"
_OUTCOMES = ("finished", "failed", "infeasible")


@dataclasses.dataclass
class Trial:
    """One proposed architecture and what became of it.

    Attributes:
      text: the genotype as a textproto.
      status: "running" (or to be run again), "finished", "failed" (an execution failed; final if no more are allowed), "infeasible".
      reward: validation accuracy in [0, 1], of finished trials.
      seconds: spent on all its executions.
      metrics: what the evaluator reported besides: parameters, mult_adds, ...
      reason: of the last failure.
      attempts: executions that ended.
      executions: (unix seconds of its end, seconds it took) of each of them that trained something.
      failed_on: the machines of those that failed and count, "" where it is not known.
      losses: executions that ended because their machine left.
      machine: of the last execution.
      over_deadline: it was killed at its deadline.
      proposed_time, finished_time: unix seconds; the latter of the last outcome, None before the first.
      reused_from: the trial of the same architecture whose reward this one got, if there is one.
      rung_rewards: of successive halving, the reward at each rung that it has reached.
      failed_rungs: executions that should have brought it to the next one.
      taken_from: the work folder of the search that it was taken over from; "" of this search's own.
    """

    number: int
    text: str
    hash: str
    decisions: tuple[int, ...]
    log_probs: tuple[float, ...]
    proposed_time: float
    status: str = "running"
    reward: float | None = None
    seconds: float = 0.0
    metrics: dict = dataclasses.field(default_factory=dict)
    reason: str = ""
    attempts: int = 0
    executions: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    finished_time: float | None = None
    reused_from: int | None = None
    failed_on: list[str] = dataclasses.field(default_factory=list)
    losses: int = 0
    machine: str = ""
    over_deadline: bool = False
    taken_from: str = ""
    rung_rewards: list[float] = dataclasses.field(default_factory=list)
    failed_rungs: int = 0

    @functools.cached_property
    def genotype(self) -> Genotype:
        """The architecture; parsed when it is asked for, for a search of 20,000 trials needs few of them."""
        return parse_genotype(self.text, f"journal, trial {self.number}")

    @property
    def is_rewarded_or_infeasible(self) -> bool:
        """Nothing that comes later changes it."""
        return self.status in ("finished", "infeasible")

    @property
    def is_predicted(self) -> bool:
        """The reward was not measured: the child was stopped early."""
        return "stopped_epoch" in self.metrics


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

    def __init__(self, workdir: pathlib.Path, identity: dict):
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
            identity = json.loads(json.dumps(identity))
            first = next(self.rows(), None)
            difference = claims.first_difference(first.event["identity"], identity) if first else None
            if difference and claims.has_saved(workdir):
                raise claims.refusal(workdir, difference)
            if difference:
                self._file.truncate(0)
                self._hash, self.num_rows = hashlib.sha256(), 0
            if difference or first is None:
                self.append("search", identity=identity, version=__version__, hash_version=HASH_VERSION)
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


def apply_event(trials: list[Trial], event: dict) -> bool:
    """Brings the list of trials up to date with one event.

    Returns:
      Whether it changed anything: an event that says again what is known, as in a file with a line twice, does not.

    Raises:
      InputError: the event does not fit the trials: it lacks something, or lines before it are missing.
    """
    if event["event"] == "search":
        return True
    try:
        if event["event"] == "aside":
            _put_aside(trials, event["machine"])
            return True
        if event["event"] == "spent":
            return event["seconds"] >= 0
        number, kind = event["trial"], event["event"]
        if kind in ("proposed", "taken"):
            trial = Trial(
                number, event["genotype"], event["hash"], tuple(event["decisions"]), tuple(event["log_probs"]), proposed_time=event["time"]
            )
            if kind == "taken":
                trial.status, trial.reward, trial.metrics = "finished", event["reward"], event["metrics"]
                trial.taken_from, trial.finished_time = event["taken_from"], event["time"]
            if number < len(trials) and trials[number].decisions == trial.decisions and trials[number].log_probs == trial.log_probs:
                return False
            if number != len(trials):
                raise InputError(f"proposes trial {number}, expected trial {len(trials)}")
            trials.append(trial)
            return True
        if kind not in _OUTCOMES:
            raise InputError(f"unknown event {kind!r}; expected proposed, taken, spent, aside, {', '.join(_OUTCOMES)}")
        if number not in range(len(trials)):
            raise InputError(f"{kind} trial {number}, which has not been proposed")
        trial = trials[number]
        goes_on = trial.status == "finished" and event.get("rung", 0) == len(trial.rung_rewards) > 0
        if (trial.is_rewarded_or_infeasible and not goes_on) or event["attempt"] <= trial.attempts:
            return False
        if event["attempt"] != trial.attempts + 1:
            raise InputError(f"attempt {event['attempt']} of trial {number}, expected {trial.attempts + 1}")
        if goes_on and kind != "finished":  # it stays what it was
            trial.seconds, trial.attempts = trial.seconds + event["seconds"], event["attempt"]
            trial.reason, trial.failed_rungs = event["reason"], trial.failed_rungs + 1
            trial.executions.append((event["time"], event["seconds"]))
            return True
        seconds, reward = trial.seconds + event["seconds"], event["reward"] if kind == "finished" else None
        if kind == "finished" and not isinstance(reward, (int, float)):
            raise InputError(f"reward of trial {number}: expected a number, got {reward!r}")
        trial.seconds, trial.reward = seconds, reward
        trial.status, trial.attempts, trial.finished_time = kind, event["attempt"], event["time"]
        trial.reason, trial.metrics = event.get("reason", ""), event.get("metrics", {})
        trial.reused_from, trial.machine = event.get("reused_from"), event.get("machine", "")
        trial.over_deadline = event.get("over_deadline", False)
        if kind == "finished" and "rung" in event:
            trial.rung_rewards.append(reward)
        if event.get("lost"):
            trial.losses += 1
        elif kind == "failed":
            trial.failed_on.append(trial.machine)
        if event["seconds"] > 0:
            trial.executions.append((event["time"], event["seconds"]))
        return True
    except KeyError as error:
        raise InputError(f"lacks {error}") from error
    except TypeError as error:
        raise InputError(f"has a value of a wrong type ({error})") from error


def _put_aside(trials: list[Trial], machine: str) -> None:
    for trial in trials:
        trial.failed_on = [other for other in trial.failed_on if other != machine]
        if trial.status == "infeasible" and trial.over_deadline and trial.machine == machine:
            trial.status, trial.over_deadline = "failed", False


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


def architectures(trials: Iterable[Trial]) -> list[Trial]:
    """The first finished trial of each architecture: a policy that repeats its best one must not fill a leaderboard with it."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.status == "finished":
            first.setdefault(trial.hash, trial)
    return list(first.values())


def leaderboard(trials: Iterable[Trial]) -> list[Trial]:
    """The finished architectures by their rewards, the earlier first among equals.

    Predicted rewards come after all that were measured; of successive halving, those at lower rungs after those at higher ones.
    """
    return sorted(architectures(trials), key=lambda trial: (trial.is_predicted, -len(trial.rung_rewards), -trial.reward, trial.number))


def read_identity(workdir: pathlib.Path) -> dict:
    """What the first line says the search is."""
    for row in _read(workdir):
        return row.event["identity"]
    raise InputError(f"{workdir / NAME}: is empty")
