"""manifest.json of an export, read, written and verified; `describing` makes what it says. Needs no TensorFlow."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import read_json, replace_file

NAME = "manifest.json"


def read(folder: pathlib.Path) -> dict | None:
    """The manifest of an export; None where there is none; InputError for a damaged one."""
    path = folder / NAME
    if not path.is_file():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise InputError(f"{path}: is no manifest of an export; expected 'files' with a checksum of each")
    return manifest


def write(folder: pathlib.Path, content: Mapping) -> dict:
    """Writes the manifest of a folder, with the SHA-256 of each file there is; returns it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {**content, "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in files}}
    replace_file(folder / NAME, json.dumps(manifest, indent=1))
    return manifest


def verify(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Compares files, or all in a folder, with the manifest; where there is no manifest, nothing.

    Raises:
      InputError: a file that is missing, or another than was exported: exports that were mixed up.
    """
    manifest = read(folder)
    if manifest is None:
        return
    files = manifest["files"]
    for name in names:
        for listed in (file for file in files if file == name or file.startswith(f"{name}/")):
            if not (folder / listed).is_file():
                raise InputError(f"{folder / listed}: is missing, though {NAME} lists it; the export is incomplete")
            if (found := _sha256(folder / listed)) != files[listed]:
                raise InputError(
                    f"{folder / listed}: is not the file of this export: {NAME} says SHA-256 {files[listed]}, found {found}; "
                    "damaged, changed, or of another export"
                )


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
