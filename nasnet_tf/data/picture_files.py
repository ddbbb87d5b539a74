"""Finds the pictures that annotations name. Annotation tools often write paths of another machine or of their server."""

import collections
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import files_below, shown

_MAX_MISSING = 0.1  # fraction of the pictures that may be missing


def find_pictures(names: Iterable[str], folders: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Finds the files that annotations name, and returns {name: file} without missing files.

    Each name is tried as it is, then with slashes instead of backslashes, then without its first folder, without the first two, and so on.
    If none of these names a file, the last part of the name is searched for anywhere below each folder in turn, in any case and encoding of
    accents; a file counts if it is the only match below that folder. A match of a shortened name is dropped if another name matches the
    same file.
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
    """Checks that enough of the pictures in an annotation file were found.

    Raises:
      InputError: all pictures are missing, or more than a tenth of them and more than one. The message names the first missing picture and
        the folders that were searched.
    """
    missing = [name for name in names if name not in found]
    if len(missing) > max(1, _MAX_MISSING * len(names)) or (names and len(missing) == len(names)):
        places = ", ".join(map(shown, folders))
        raise InputError(
            f"{shown(where)}: {len(missing)} of {len(names)} pictures are missing, first {missing[0]!r}; searched {places}; "
            "put the pictures there, or remove the missing ones from the annotations"
        )


def _identity(path: pathlib.Path) -> str:
    return str(path.resolve())


def _plain(name: str) -> str:
    """Returns a name in lower case, with each accent composed with its letter; macOS writes accents as separate characters."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # for example, a name that is too long, or a null byte
        return False


def _first(name: str, folders: Sequence[pathlib.Path]) -> pathlib.Path | None:
    return next((folder / name for folder in folders if _is_file(folder / name)), None)


def _shortened(name: str, folders: Sequence[pathlib.Path], by_name: list) -> pathlib.Path | None:
    """Returns the file that a shortened name finds, or None; by_name: {plain name: files} below each folder, filled on first use."""
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
