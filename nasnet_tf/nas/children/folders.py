"""Folders and log files of children."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

from nasnet_tf.genotype import Genotype, genotype_hashes

FOLDER = "children"


def log_of(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the log file for a genotype: trial_00012.log for "trial_12", so that files sort in the order of trials; else NAME.log."""
    number = name.removeprefix("trial_")
    return folder / f"trial_{int(number):05d}.log" if number.isdecimal() else folder / f"{name}.log"


@contextlib.contextmanager
def logged(path: pathlib.Path | None) -> Iterator[None]:
    """Redirects standard error of this process to the end of a file during the `with`.

    Args:
      path: the file, which is removed if it is empty at the end; None leaves standard error as it is.
    """
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
    """Returns the folder of an architecture in `parent`.

    Its name is the hash of the genotype. If a folder named by an older version of the hash exists, that folder is returned.
    """
    newest, *older = [parent / digest for digest in genotype_hashes(genotype)]
    return next((folder for folder in reversed(older) if folder.is_dir()), newest)
