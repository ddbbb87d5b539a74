"""Files and folders: paths from users, atomic writes, file locks, listing of images, and a size check for archives."""

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
_MAX_EXPANSION = 20  # largest ratio of unpacked to packed size. Weights hardly compress, but optimizer slots that are still 0 do.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_ALWAYS_ALLOWED = 64 * 2**20  # bytes of unpacked data that are accepted at any ratio


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path with "~" expanded; unlike pathlib's expanduser, "~name" of an unknown user stays as it is instead of raising."""
    return pathlib.Path(os.path.expanduser(path))


def shown(path: str | bytes | os.PathLike) -> str:
    """Returns a path as printable text: bytes that are not UTF-8 are escaped, such as \\xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def what_is_there(path: str | os.PathLike) -> str:
    """Returns "is a folder" or "no such file", for the message about a path that is not a file."""
    return "is a folder" if os.path.isdir(path) else "no such file"


def check_local(path: str | os.PathLike, name: str = "") -> None:
    """Checks that an output path is on a disk of this machine. A bucket's address would otherwise become a local folder "./gs:/...".

    Args:
      path: the path as the user gave it. A pathlib.Path is accepted too, although it turns "gs://" into "gs:/".
      name: the flag or argument that the message names.

    Raises:
      InputError: the path is an address, such as gs://bucket/run.
    """
    text = os.fspath(path)
    if _ADDRESS.match(text):
        address = text if "://" in text else text.replace(":/", "://", 1)
        raise InputError(
            f"{f'{name}: ' if name else ''}{address} cannot be written: expected a path on a disk of this machine; "
            "write there and copy it, or mount the bucket"
        )


def check_place(path: pathlib.Path, name: str) -> None:
    """Checks that a file or folder could be written at a path, without creating anything.

    Args:
      path: the path to be written.
      name: the flag or argument that the message names.

    Raises:
      InputError: the path is an address, one of its parents is a file, or there is no permission to write there.
    """
    check_local(path, name)
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if there != path and not there.is_dir():
        raise InputError(f"{name}: {path} cannot be written: expected a folder, but {there} is a file")
    if not os.access(there, os.W_OK):
        raise InputError(f"{name}: {path} cannot be written: no permission for {there}")


def read_json(path: pathlib.Path):
    """Returns the value in a JSON file; raises InputError if it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged; cannot be read as JSON ({error})") from error


def read_json_lines(path: pathlib.Path, names: Collection[str] = ()) -> list[dict]:
    """Returns the rows of a JSON Lines file. An incomplete last line, cut short by a kill or still being written, is ignored.

    Args:
      path: the file.
      names: keys that every row must have.

    Raises:
      InputError: another line is not a JSON object with these keys.
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
    """Returns the images in a folder and its subfolders, sorted by path.

    Images are recognized by their suffixes. Files and folders whose names begin with a dot are left out.
    """
    return [path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all files in a folder and its subfolders, sorted by path; names that begin with a dot are left out.

    Links to folders are followed, and a folder that can be reached in several ways is listed once. A link to one of its own parent folders,
    which would be a loop, is listed like a file.

    Raises:
      InputError: one of the folders cannot be read.
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
    """Writes a file atomically: after a kill or on a full disk, the path holds either the old or the new content. Text becomes UTF-8.

    Raises:
      OSError: the file cannot be written. The message names it, and its old content stays.
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
        raise OSError(f"{path} cannot be written ({error.strerror}); its old content is kept") from error


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Adds the path to each OSError inside the `with` that names no file, such as the error of a write to a full disk."""
    try:
        yield
    except OSError as error:
        # The error names its file already, or it is about a terminal or a pipe.
        if error.errno is None or error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(f"{path} cannot be written ({error.strerror}); everything written before is kept") from error


def lock(file: IO, path: pathlib.Path) -> bool:
    """Locks an open file until it is closed; returns False if another process holds the lock.

    On a file system without locks, such as some network disks, prints a warning to standard error and returns True.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # NFS, which implements flock by another kind of lock, raises PermissionError
        return False
    except OSError as error:
        print(f"warning: {path} cannot be locked ({error.strerror}); make sure that no other process works in this folder", file=sys.stderr)
    return True


def check_unpacked_size(path: pathlib.Path, unpacked_bytes: int, packed_bytes: int | None = None) -> None:
    """Checks that an archive is not a decompression bomb.

    Args:
      path: the archive, for the message.
      unpacked_bytes: size after unpacking, or a lower bound of it.
      packed_bytes: size before unpacking; None for the size of the file.

    Raises:
      InputError: the unpacked size is more than 64 MiB and more than 20 times the packed size.
    """
    packed_bytes = path.stat().st_size if packed_bytes is None else packed_bytes
    limit = max(_MAX_EXPANSION * packed_bytes, _ALWAYS_ALLOWED)
    if unpacked_bytes > limit:
        raise InputError(
            f"{path}: unpacks to {unpacked_bytes:,} bytes or more from {packed_bytes:,}; expected at most {limit:,}, the larger of "
            f"{_MAX_EXPANSION} times the packed size and {_ALWAYS_ALLOWED:,}; the file was not opened"
        )


def sync_folder(folder: pathlib.Path) -> None:
    """Flushes the entries of a folder to disk, because flushing a new file does not save its name. Ignores file systems that cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(folder: pathlib.Path) -> None:
    """Creates a folder and its missing parents, and waits until they are on disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    check_local(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def find_images(argument: str) -> list[pathlib.Path]:
    """Returns the files that an argument means: the file itself, the images in and below a folder, or the matches of a glob pattern.

    Raises:
      InputError: there are no such files.
    """
    path = pathlib.Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = image_files(path)
        if not found:
            raise InputError(f"{path}: no images in this folder; expected files with the suffixes {', '.join(IMAGE_SUFFIXES)}")
        return found
    found = [pathlib.Path(name) for name in sorted(glob.glob(argument, recursive=True)) if pathlib.Path(name).is_file()]
    if not found:
        raise InputError(f"{argument}: no such file" if not glob.has_magic(argument) else f"{argument}: no file matches this pattern")
    return found
