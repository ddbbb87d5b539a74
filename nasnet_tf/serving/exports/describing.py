"""Describes a network for manifest.json: genotype, configuration, classes, data, license, and a hash of the weights."""

import hashlib
import importlib.metadata
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

from nasnet_tf.base.values import expect
from nasnet_tf.data import imagenet_classes
from nasnet_tf.genotype import HASH_VERSION, format_genotype, genotype_hash, load_genotype, published_genotypes
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.description import all_layers, first_stack, genotype_of
from nasnet_tf.models.heads import Stem
from nasnet_tf.training import work_folder
from nasnet_tf.version import __version__

_PLACES = ("folder", "table", "coco", "voc")  # kinds of data whose names are paths


def describe(model: keras.Model, data_description: Mapping) -> dict:
    """Returns what manifest.json says about a classifier or a detector.

    Args:
      data_description: content of data.json.
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
    """Returns the data set of the training and its splits, if data.json names them. Exports are shared, so paths lose their folders."""
    data = {name: value for name, value in data_description.items() if name == "source" or name.endswith("_split")}
    kind, colon, place = str(data.get("source", "")).partition(":")
    if colon and kind in _PLACES:
        data["source"] = f"{kind}:{pathlib.PurePath(place).name}"
    return {name: value for name, value in data.items() if value is not None}


def _license(data_description: Mapping) -> dict:
    """Returns {"license": text} for weights with a stated license, else {}.

    Raises:
      InputError: the license is not a text of one line.
    """
    text = data_description.get("license")
    if text is None:
        return {}
    is_line = isinstance(text, str) and text.strip() != "" and text.isprintable()
    expect(is_line, "license", "a text of one line, such as 'apache-2.0'", text)
    return {"license": text.strip()}


def _classes(data_description: Mapping) -> list[dict]:
    """Returns the name of each class, with its WordNet id if it is one of ImageNet's, and with its category id if a detector has one."""
    words, names = dict(imagenet_classes()), list(data_description["class_names"])
    if names == list(words.values()):
        return [{"name": name, "wordnet_id": identity} for identity, name in words.items()]
    classes = [{"name": words[name], "wordnet_id": name} if name in words else {"name": name} for name in names]
    for each, number in zip(classes, data_description.get("category_ids", ()), strict=False):
        each["category_id"] = number
    return classes


def weights_hash(model: keras.Model) -> str:
    """Returns the SHA-256 of all weights and their paths. It tells which weights an evaluation measured."""
    digest = hashlib.sha256()
    for weight in sorted(model.weights, key=lambda weight: weight.path):
        digest.update(weight.path.encode() + np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()
