"""Where the pictures of an annotation are: tools write the paths that they had on another machine, or on their server."""

import collections
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import files_below, shown

_ALLOWED_PART = 0.1  # of the pictures, or one: as many may be missing


def find_pictures(names: Iterable[str], folders: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Finds the files that an annotation names: {name: file}, without those that are not there.

    A name is tried as it is, then with slashes for backslashes, then without its first parts, one after the other; its last part alone
    also anywhere below the first folder where that has one such file only, then below the next, whatever its capital letters and however
    its accents are encoded. A file that two shortened names mean belongs to neither.
    """
    found = {name: path for name in dict.fromkeys(names) if (path := _first(name, folders))}
    exact, shortened = set(map(_identity, found.values())), {}
    by_name: list[dict[str, list[pathlib.Path]]] = []
    for name in dict.fromkeys(names):
        if name not in found and (path := _shortened(name, folders, by_name)):
            shortened[name] = path
    count = collections.Counter(map(_identity, shortened.values()))
    return found | {name: path for name, path in shortened.items() if count[_identity(path)] == 1 and _identity(path) not in exact}


def check_found(where: pathlib.Path, names: Sequence[str], found: Iterable[str], folders: Sequence[pathlib.Path]) -> None:
    """Refuses annotations of which more than a tenth of the pictures, and more than one, are not there.

    Raises:
      InputError: names the first picture that is missing and the folders that were searched.
    """
    missing = [name for name in names if name not in found]
    if len(missing) > max(1, _ALLOWED_PART * len(names)) or (names and len(missing) == len(names)):
        places = ", ".join(map(shown, folders))
        raise InputError(
            f"{shown(where)}: {len(missing)} of {len(names)} pictures are not there, first {missing[0]!r}; looked in and below {places}; "
            "put the pictures there, or take what is missing out of the annotations"
        )


def _identity(path: pathlib.Path) -> str:
    return str(path.resolve())


def _plain(name: str) -> str:
    """A name in small letters; Mac writes an accent as a character of its own."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # such as a name that is too long, or a null byte
        return False


def _first(name: str, folders: Sequence[pathlib.Path]) -> pathlib.Path | None:
    return next((folder / name for folder in folders if _is_file(folder / name)), None)


def _shortened(name: str, folders: Sequence[pathlib.Path], by_name: list) -> pathlib.Path | None:
    """by_name: of the files below each folder; filled when it is first needed."""
    parts = [part for part in re.split(r"[/\\]+", name) if part not in ("", ".", "..")]
    for start in range(len(parts)):
        path = _first("/".join(parts[start:]), folders)
        if path:
            return path
    if not by_name:
        for folder in folders:
            by_name.append(collections.defaultdict(list))
            for path in files_below(folder):
                by_name[-1][_plain(path.name)].append(path)
    candidates = (files[_plain(parts[-1])] for files in by_name if parts and _plain(parts[-1]) in files)
    return next((paths[0] for paths in candidates if len(paths) == 1), None)
