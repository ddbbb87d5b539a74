"""Work folders: to which configuration one belongs, what may change about that, and who is at work in it.

A folder belongs to a configuration once something was rewarded or saved there. Until then a mistake costs nothing: the corrected command
begins anew.
"""

import contextlib
import fnmatch
import json
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping

from nasnet_tf.errors import InputError
from nasnet_tf.files import lock, make_folder

# Bindings that may change at any time, in any scope: they say how long and where to work, not what comes out.
HARMLESS = (
    "*.data_dir",
    "*.cache",
    "TrainingConfig.log_every_steps",
    "TrainingConfig.checkpoint_every_seconds",
    "TrainingConfig.max_corrupt_images",
    "TrainingConfig.steps_per_call",
    "TrainingConfig.jit_compile",
    "make_strategy.*",
    "train.strategy",
    "search.num_trials",
    "search.max_*",
    "search.engine",
    "search.retrain_top",
    "search.retrain_front",
    "search.child_*",
    "search.tolerance",
    "FaultTolerance.*",
    "LocalPool.*",
    "RayTasks.*",
)
CONFIG_NAME = "config.gin"
_LOCK = "lock"
_JOURNAL = "journal.jsonl"
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
    "search": (_JOURNAL, "children", "logs", "metrics.jsonl", "rates.json", "rungs", "shared", "trained"),
}


def bindings(config_text: str) -> dict[str, str]:
    """{"name.parameter": "value"} of a configuration's text with one binding a line, as recipes.parse_gin returns it."""
    lines = [line for line in config_text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def read_bindings(path: pathlib.Path) -> dict[str, str]:
    """The same of a file; InputError where it is damaged."""
    try:
        return bindings(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged; expected the bindings that this folder was begun with, one a line") from error


def is_harmless(name: str) -> bool:
    """Whether a binding, "scope/name.parameter", may change at any time."""
    return any(fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], pattern) for pattern in HARMLESS)


def lasting(values: Mapping, owner: str | None = None) -> dict:
    """The bindings that may not change; or the parameters, where an owner is given."""
    return {name: value for name, value in values.items() if not is_harmless(f"{owner}.{name}" if owner else name)}


def first_difference(old: Mapping, new: Mapping, default: Callable[[str], str] = lambda name: "None") -> str | None:
    """The first binding that differs and may not, as "name was A, is B"; None where there is none.

    Args:
      default: the value that a name has where it is not bound, so that folders from before there was such a parameter go on. In a scope
        it would be the value outside of it: such a name is bound in both or in neither.
    """
    old, new = lasting(old), lasting(new)

    def meant(values: Mapping, name: str):
        return values.get(name, None if "/" in name else default(name))

    for name in [*old, *(name for name in new if name not in old)]:
        if meant(old, name) != meant(new, name):
            return f"{name} was {old.get(name, 'not bound')}, is {new.get(name, 'not bound')}"
    return None


def refusal(folder: pathlib.Path, difference: str) -> InputError:
    """What to say of a folder that belongs to another configuration."""
    return InputError(
        f"{folder}: was begun with another configuration: {difference}; bind it as before, take another --workdir, or remove {folder}"
    )


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
        file.truncate(0)
        file.write(kind)
        file.flush()
        if kind != "search":
            (folder / _JOURNAL).unlink(missing_ok=True)  # of a search that only began, for no page to tell of both
        try:
            yield
        except InputError:
            if not has_saved(folder):
                _take_back(folder, {_LOCK, *_BEGINNINGS[kind]} - before, missing)
            raise


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
