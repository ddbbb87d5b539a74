"""Folders and log files of children."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

from nasnet_tf.genotype import Genotype, genotype_hashes

FOLDER = "children"


def log_of(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file of the trial whose genotype has this name; a folder's files are in the order of its trials."""
    number = name.removeprefix("trial_")
    return folder / f"trial_{int(number):05d}.log" if number.isdecimal() else folder / f"{name}.log"


@contextlib.contextmanager
def logged(path: pathlib.Path | None) -> Iterator[None]:
    """Appends what this process writes to standard error to a file, which is not kept if nothing was written; None changes nothing."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, before = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        if os.fstat(descriptor).st_size == 0:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def architecture_folder(parent: pathlib.Path, genotype: Genotype) -> pathlib.Path:
    """Where an architecture is kept: what older rules of the hash called it, where there is such a folder, else what today's call it."""
    newest, *older = [parent / digest for digest in genotype_hashes(genotype)]
    return next((folder for folder in reversed(older) if folder.is_dir()), newest)
