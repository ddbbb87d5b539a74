"""Reads, writes and verifies manifest.json of an export; `describing` makes its content. Needs no TensorFlow."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import read_json, replace_file

NAME = "manifest.json"


def read(folder: pathlib.Path) -> dict | None:
    """Returns the manifest of an export, or None if there is none. Raises InputError for a damaged one."""
    path = folder / NAME
    if not path.is_file():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise InputError(f"{path}: is not the manifest of an export; expected 'files' with a checksum for each file")
    return manifest


def write(folder: pathlib.Path, content: Mapping) -> dict:
    """Writes the manifest of a folder, with the SHA-256 of each file in it, and returns it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {**content, "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in files}}
    replace_file(folder / NAME, json.dumps(manifest, indent=1))
    return manifest


def verify(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Compares files with the manifest; does nothing if there is no manifest.

    Args:
      names: files to compare, and folders of which all files are compared.

    Raises:
      InputError: a file is missing, or is not one that was exported, as when exports were mixed up.
    """
    manifest = read(folder)
    if manifest is None:
        return
    files = manifest["files"]
    for name in names:
        mine = [file for file in files if file == name or file.startswith(f"{name}/")]
        if not mine and (folder / name).exists():
            raise InputError(f"{folder / name}: is not a file of this export: {NAME} does not list it; it is from another export")
        for listed in mine:
            if not (folder / listed).is_file():
                raise InputError(f"{folder / listed}: is missing, though {NAME} lists it; copy the whole export, or export again")
            if (found := _sha256(folder / listed)) != files[listed]:
                raise InputError(
                    f"{folder / listed}: is not the file of this export: {NAME} says SHA-256 {files[listed]}, found {found}; "
                    "it is damaged, changed, or from another export"
                )


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
