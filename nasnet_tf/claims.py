"""Work folders: to which configuration one belongs, what may change about that, and who is at work in it.

A folder belongs to a configuration once something was rewarded or saved there. Until then a mistake costs nothing: the corrected command
begins anew.
"""

import contextlib
import fnmatch
import pathlib
from collections.abc import Callable, Iterator, Mapping

from nasnet_tf.errors import InputError
from nasnet_tf.files import lock

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
_SAVED = ("checkpoints/*.index", "trials/*/result.json", "trials/*/checkpoints/*.index", "trained/*/checkpoints/*.index")
_MARKS = {
    "journal.jsonl": "a search",
    "checkpoints": "a training",
    "trials": "a tuning",
    "manifest.json": "an export",
    "saved_model.pb": "an export",
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
    """Whether a training or tuning has kept anything there."""
    return any(path for pattern in _SAVED for path in folder.glob(pattern))


def check_kind(folder: pathlib.Path, kind: str) -> None:
    """Raises InputError where the folder holds something else than a "search", "training" or "tuning"."""
    for mark, other in _MARKS.items():
        if other != f"a {kind}" and (folder / mark).exists():
            raise InputError(f"{folder}: expected a folder for a {kind}, but it holds {other} ({mark}); take another --workdir")


@contextlib.contextmanager
def at_work(folder: pathlib.Path, kind: str) -> Iterator[None]:
    """Nobody else is at work in this folder inside the `with`. A mistake before anything else was written there leaves no folder behind.

    Raises:
      InputError: somebody is.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    with path.open("w") as file:
        if not lock(file, path):
            raise InputError(f"{folder}: another {kind} is running in this work folder")
        try:
            yield
        except InputError:
            if missing and {other.name for other in folder.iterdir()} <= {_LOCK, CONFIG_NAME}:
                for other in folder.iterdir():
                    other.unlink()
                with contextlib.suppress(OSError):  # somebody else put something there
                    for made in missing:
                        made.rmdir()
            raise
