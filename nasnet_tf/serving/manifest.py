"""manifest.json of an export: what the network is, how it was measured and checked, and a checksum of each file."""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterable, Mapping

import keras

from nasnet_tf import __version__
from nasnet_tf.data import imagenet_classes
from nasnet_tf.errors import InputError
from nasnet_tf.files import replace_file
from nasnet_tf.genotype import Genotype, format_genotype, genotype_hash, load_genotype, published_genotypes
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.heads import Stem
from nasnet_tf.training import checkpoints

NAME = "manifest.json"


def describe(model: keras.Model, data_description: Mapping) -> dict:
    """What there is to say of a network: genotype, configuration, classes, preprocessing, package versions."""
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    normal = next(cell for cell in cells if not cell.is_reduction)
    genotype = Genotype(num_input_states=normal.num_input_states, normal_cell=normal.cell)
    genotype.reduction_cell.CopyFrom(next(cell.cell for cell in cells if cell.is_reduction))
    hashes = {genotype_hash(load_genotype(name)): name for name in published_genotypes()}
    genotype.name = hashes.get(genotype_hash(genotype), "")
    stem = next(layer for layer in model.layers if isinstance(layer, Stem))
    words = dict(imagenet_classes())
    names = list(data_description["class_names"])
    if names == [name for _, name in imagenet_classes()]:
        classes = [{"name": name, "wordnet_id": identity} for identity, name in imagenet_classes()]
    else:
        classes = [{"name": words[name], "wordnet_id": name} if name in words else {"name": name} for name in names]
    return {
        "package": {"nasnet_tf": __version__, **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}},
        "genotype": {"name": genotype.name, "hash": genotype_hash(genotype), "text": format_genotype(genotype)},
        "configuration": {
            "stem": stem.kind,
            "stem_filters": stem.filters,
            "cells_per_stack": sum(not cell.is_reduction for cell in cells) // 3,
            "filters": normal.filters,
            "drop_path_rate": cells[-1].drop_path_rate,
            **vars(normal.style),
            "image_size": list(model.input.shape[1:3]),
            "parameters": model.count_params(),
        },
        "task": checkpoints.task_kind(data_description),
        "classes": classes,
        "preprocessing": data_description["preprocessing"],
    }


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
    path = folder / NAME
    if not path.is_file():
        return
    manifest = checkpoints.read_json(path)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise InputError(f"{path}: is no manifest of an export; expected 'files' with a checksum of each")
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
