"""Paths as people give them, files that are written as a whole or not at all or that one process has alone, archives that are no bombs."""

import contextlib
import fcntl
import glob
import json
import os
import pathlib
import re
import sys
from collections.abc import Collection, Iterator
from typing import IO

from nasnet_tf.base.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_MOST_EXPANSION = 20  # of an archive of weights, which hardly compress; optimizer slots that are still 0 do
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_ALWAYS_ALLOWED = 64 * 2**20  # bytes


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """A path with "~" written out; unlike pathlib's own, no error where no such user is known."""
    return pathlib.Path(os.path.expanduser(path))


def shown(path: str | bytes | os.PathLike) -> str:
    """A path, or its bytes, as text that can be printed: bytes that are not UTF-8 as \\xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def what_is_there(path: str | os.PathLike) -> str:
    """Of a path that is no file: "is a folder" or "no such file"."""
    return "is a folder" if os.path.isdir(path) else "no such file"


def check_local(path: str | os.PathLike, name: str = "") -> None:
    """That a path to be written is on a disk: a bucket's name would become a folder beside, "./gs:/...".

    Args:
      path: as it was given; pathlib makes one slash of two.
      name: of the flag or argument, for the message.

    Raises:
      InputError: it is an address, such as gs://bucket/run.
    """
    text = os.fspath(path)
    if _ADDRESS.match(text):
        address = text if "://" in text else text.replace(":/", "://", 1)
        raise InputError(
            f"{f'{name}: ' if name else ''}{address} cannot be written: expected a path on a disk of this machine; "
            "write there and copy it, or mount the bucket"
        )


def check_place(path: pathlib.Path, name: str) -> None:
    """That a file or folder could be written at a path; makes nothing.

    Raises:
      InputError: it is an address, or what should be a folder above it is a file, or may not be written; named by `name` and the path.
    """
    check_local(path, name)
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if there != path and not there.is_dir():
        raise InputError(f"{name}: {path} cannot be written: expected a folder, but {there} is a file")
    if not os.access(there, os.W_OK):
        raise InputError(f"{name}: {path} cannot be written: no permission for {there}")


def read_json(path: pathlib.Path):
    """What a JSON file holds; InputError where it is damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged; cannot be read as JSON ({error})") from error


def read_json_lines(path: pathlib.Path, names: Collection[str] = ()) -> list[dict]:
    """The rows of a file of JSON lines; a last line that a kill cut short, or that is being written, is passed over.

    Args:
      names: what every row has.

    Raises:
      InputError: any other line is none.
    """
    rows, lines = [], path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            row = None
        if not isinstance(row, dict) or not row.keys() >= set(names):
            expected = f"a JSON object with {', '.join(names)}" if names else "a JSON object"
            raise InputError(f"{path}: line {number} is damaged; expected {expected}")
        rows.append(row)
    return rows


def image_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The images in a folder and below, in the order of their paths: by their endings, whatever begins with a dot left out."""
    return [path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files in a folder and below, in the order of their paths, whatever begins with a dot left out.

    Links to folders are followed, and a folder that is reached more than once is looked through once. A link to a folder around it, which
    would be a loop, is listed like a file.

    Raises:
      InputError: a folder in there cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{shown(error.filename)}: this folder cannot be read: {error.strerror}") from error

    found, seen = [], {os.path.realpath(folder)}
    above = {os.path.realpath(parent) for parent in folder.absolute().parents}
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        around = above | set(map(str, pathlib.Path(os.path.realpath(place), "_").parents))
        inside = {name: os.path.realpath(os.path.join(place, name)) for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for name, real in inside.items() if real not in around and not (real in seen or seen.add(real))]
        names += [name for name, real in inside.items() if real in around]
        found += [pathlib.Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


def replace_file(path: pathlib.Path, content: str | bytes) -> None:
    """Writes a file so that no reader, kill or full disk ever meets half of it; text as UTF-8.

    Raises:
      OSError: it cannot be written; names the file, and what was there before stays.
    """
    check_local(path)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written ({error.strerror}); what was there before stays") from error


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Names the file or folder in the system's errors of writing it: that of a full disk, raised by a write, has no name."""
    try:
        yield
    except OSError as error:
        # It says already what it is about, or it is about a terminal or pipe.
        if error.errno is None or error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(f"{path} cannot be written ({error.strerror}); what was written before stays") from error


def lock(file: IO, path: pathlib.Path) -> bool:
    """Takes the lock of an open file, for as long as it stays open; returns False if another process has it.

    A file system without locks, as some network disks are, keeps nobody out; that is said on standard error.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter from NFS, whose locks are others underneath
        return False
    except OSError as error:
        print(f"warning: {path} cannot be locked ({error.strerror}); see that no other process works in this folder", file=sys.stderr)
    return True


def check_unpacked_size(path: pathlib.Path, unpacked_bytes: int, packed_bytes: int | None = None) -> None:
    """Refuses what would grow out of all proportion when unpacked.

    Args:
      packed_bytes: the size of the file, if not given.

    Raises:
      InputError: more than 64 MiB, and more than 20 times what is packed.
    """
    packed_bytes = path.stat().st_size if packed_bytes is None else packed_bytes
    limit = max(_MOST_EXPANSION * packed_bytes, _ALWAYS_ALLOWED)
    if unpacked_bytes > limit:
        raise InputError(
            f"{path}: unpacks to {unpacked_bytes:,} bytes or more from {packed_bytes:,}; expected at most {limit:,}, which is "
            f"{_MOST_EXPANSION} times as many or {_ALWAYS_ALLOWED:,}: not opened"
        )


def sync_folder(folder: pathlib.Path) -> None:
    """Waits until the names in a folder are on disk: that of a new file is not, when the file is. Nothing where a system cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder and those around it where they are missing, and waits until they are on disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    check_local(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def find_images(argument: str) -> list[pathlib.Path]:
    """The file of this name, the images in and below this folder, or what the pattern fits."""
    path = pathlib.Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = image_files(path)
        if not found:
            raise InputError(f"{path}: no images in this folder; expected files {', '.join(IMAGE_SUFFIXES)}")
        return found
    found = [pathlib.Path(name) for name in sorted(glob.glob(argument, recursive=True)) if pathlib.Path(name).is_file()]
    if not found:
        raise InputError(f"{argument}: no such file" if not glob.has_magic(argument) else f"{argument}: no file fits this pattern")
    return found
