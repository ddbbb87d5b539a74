"""manifest.json of an export: what the network is, how it was measured and checked, and a checksum of each file."""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.values import expect
from nasnet_tf.data import imagenet_classes
from nasnet_tf.genotype import HASH_VERSION, format_genotype, genotype_hash, load_genotype, published_genotypes
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.description import all_layers, first_stack, genotype_of
from nasnet_tf.models.heads import Stem
from nasnet_tf.training import work_folder
from nasnet_tf.version import __version__

NAME = "manifest.json"
_PLACES = ("folder", "table", "coco", "voc")  # kinds of data whose names are paths


def describe(model: keras.Model, data_description: Mapping) -> dict:
    """What there is to say of a classifier or a detector: genotype, configuration, classes, preprocessing, package versions.

    Args:
      data_description: what data.json says.
    """
    layers = list(all_layers(model))
    cells = [layer for layer in layers if isinstance(layer, Cell)]
    normal = next(cell for cell in cells if not cell.is_reduction)
    genotype = genotype_of(model)
    hashes = {genotype_hash(load_genotype(name)): name for name in published_genotypes()}
    genotype.name = hashes.get(genotype_hash(genotype), "")
    stem = next(layer for layer in layers if isinstance(layer, Stem))
    return {
        "package": {"nasnet_tf": __version__, **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}},
        "genotype": {
            "name": genotype.name,
            "hash": genotype_hash(genotype),
            "hash_version": HASH_VERSION,
            "text": format_genotype(genotype),
        },
        "configuration": {
            "stem": stem.kind,
            "stem_filters": stem.filters,
            "cells_per_stack": first_stack(cells),
            "filters": normal.filters,
            "drop_path_rate": cells[-1].drop_path_rate,
            **vars(normal.style),
            "image_size": list(model.input.shape[1:3]),
            "parameters": model.count_params(),
        },
        "task": work_folder.task_kind(data_description),
        "data": _data(data_description),
        **_license(data_description),
        **({"probabilities": "sigmoid, one for each class"} if work_folder.has_several_labels(data_description) else {}),
        "classes": _classes(data_description),
        "preprocessing": data_description.get("preprocessing") or {"image_size": data_description["image_size"]},
        "weights_sha256": weights_hash(model),
    }


def _data(data_description: Mapping) -> dict:
    """Which data set a training had, and its splits, as far as data.json says. Of a folder only its name: an export is given away."""
    data = {name: value for name, value in data_description.items() if name == "source" or name.endswith("_split")}
    kind, colon, place = str(data.get("source", "")).partition(":")
    if colon and kind in _PLACES:
        data["source"] = f"{kind}:{pathlib.PurePath(place).name}"
    return {name: value for name, value in data.items() if value is not None}


def _license(data_description: Mapping) -> dict:
    """The license of the weights, where somebody stated one.

    Raises:
      InputError: it is no text of one line.
    """
    text = data_description.get("license")
    if text is None:
        return {}
    is_line = isinstance(text, str) and text.strip() != "" and text.isprintable()
    expect(is_line, "license", "a text of one line, such as 'apache-2.0'", text)
    return {"license": text.strip()}


def _classes(data_description: Mapping) -> list[dict]:
    """Of each class its name, with its WordNet id where it is one of ImageNet's, and the annotations' own number of a detector's."""
    words, names = dict(imagenet_classes()), list(data_description["class_names"])
    if names == list(words.values()):
        return [{"name": name, "wordnet_id": identity} for identity, name in words.items()]
    classes = [{"name": words[name], "wordnet_id": name} if name in words else {"name": name} for name in names]
    for each, number in zip(classes, data_description.get("category_ids", ()), strict=False):
        each["category_id"] = number
    return classes


def weights_hash(model: keras.Model) -> str:
    """SHA-256 of all weights, by their paths: whose figures those of an evaluation are."""
    digest = hashlib.sha256()
    for weight in sorted(model.weights, key=lambda weight: weight.path):
        digest.update(weight.path.encode() + np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()


def read(folder: pathlib.Path) -> dict | None:
    """The manifest of an export; None where there is none; InputError for a damaged one."""
    path = folder / NAME
    if not path.is_file():
        return None
    manifest = work_folder.read_json(path)
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
