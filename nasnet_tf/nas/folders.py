"""Folders of architectures, which are called by their hash."""

import pathlib

from nasnet_tf.genotype import Genotype, genotype_hashes


def architecture_folder(parent: pathlib.Path, genotype: Genotype) -> pathlib.Path:
    """Where an architecture is kept: what older rules of the hash called it, where there is such a folder, else what today's call it."""
    newest, *older = [parent / digest for digest in genotype_hashes(genotype)]
    return next((folder for folder in reversed(older) if folder.is_dir()), newest)
