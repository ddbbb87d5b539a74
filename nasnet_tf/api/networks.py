"""Turns the network that a caller passes into bindings of a recipe: its architecture, its weights and its preprocessing."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Collection, Mapping
from typing import Any

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.values import expect
from nasnet_tf.data import Preprocessing
from nasnet_tf.genotype import Genotype, format_genotype, genotype_hash, load_genotype, published_genotypes
from nasnet_tf.models.zoo import is_path
from nasnet_tf.recipes import table
from nasnet_tf.serving.hub.naming import find_network, resolve
from nasnet_tf.serving.hub.sources import NamedNetwork, Weights
from nasnet_tf.serving.weights.public import NETWORKS

GENOTYPE_NAME = "genotype.textproto"  # file in a work folder for a genotype that was passed as an object
SIZE = "4 @ 1056"  # size of a genotype's network if the recipe binds none
_PREPROCESSING = "ImageData.preprocessing"
# fields of NetworkConfig that only matter in training
_OF_TRAINING = ("auxiliary_head", "dropout_rate", "drop_path_rate", "synchronized_batch_norm")


def network_bindings(
    network: Any,
    weights: str | os.PathLike | None,
    preprocessing: Preprocessing | None,
    said: Collection[str],
    bound: Mapping[str, str],
    workdir: pathlib.Path,
) -> dict[str, Any]:
    """Returns the bindings that make a recipe train this network. gin must already have the bindings of the recipe and of the caller.

    Args:
      network: a genotype, as a message, the name of a published one or the path of a textproto; the name or size of a network; or the path
        of a work folder, an export, a .keras file or weights of a named network.
      weights: as for nasnet_tf.train: "trained", a file, or "none" or None for fresh weights.
      preprocessing: preprocessing of the caller's data; None for gin's.
      said: names of the caller's own bindings, which override these.
      bound: gin's bindings, as text.
      workdir: work folder, which gets the file of a genotype that is a message.

    Raises:
      InputError: `network` is of another kind, or cannot have these weights.
    """
    is_said = preprocessing is not None or any(name == _PREPROCESSING or name.endswith("Preprocessing.image_size") for name in said)
    preprocessing = preprocessing or table.value_of("ImageData", "preprocessing")
    sides = (preprocessing.image_size,) * 2 if preprocessing is not None else None
    genotype = _genotype_of(network)
    if genotype is not None:
        expect(weights in ("trained", "none", None), "weights", "'none', because a genotype has no weights", weights)
        if bound.get("train.network", "None") != "None":  # the recipe says the size
            return _fresh(network) | {"train.genotype": _written(genotype, workdir)}
        named = find_network(SIZE, genotype=_message(genotype), image_size=sides)
        assert named is not None
        return _fresh(network) | _architecture(named, named.fresh_config, bound, said, _written(genotype, workdir))
    expect(isinstance(network, (str, os.PathLike)), "network", "a genotype, a name, a size such as '6 @ 768', or a path", network)
    named = find_network(network, image_size=sides if is_said else None)
    if named is None:
        return _of_path(network, weights, is_said)
    prepares = {} if is_said else _preparing(named.image_preprocessing())
    name = _written(named.genotype, workdir)
    if weights == "trained" and named.key in NETWORKS:
        return prepares | _starting_from(network)
    if weights in ("trained", "none", None):
        return prepares | _fresh(network) | _architecture(named, named.fresh_config, bound, said, name)
    return prepares | _architecture(named, named.config, bound, said, name) | {"train.initial_weights": os.fspath(weights)}


def _genotype_of(network: Any) -> Genotype | str | None:
    """Returns a genotype or the name of one; None for other networks."""
    if isinstance(network, Genotype):
        return network
    if isinstance(network, (str, os.PathLike)) and (network in published_genotypes() or os.fspath(network).endswith(".textproto")):
        return os.fspath(network)
    return None


def _message(genotype: Genotype | str) -> Genotype:
    return genotype if isinstance(genotype, Genotype) else load_genotype(genotype)


def _written(genotype: Genotype | str, workdir: pathlib.Path) -> str:
    """Returns the name or path of a genotype; one without either is written into the work folder."""
    if isinstance(genotype, str):
        load_genotype(genotype)
        return genotype
    same = [name for name in published_genotypes() if genotype_hash(load_genotype(name)) == genotype_hash(genotype)]
    if same:
        return same[0]
    path = workdir.absolute() / GENOTYPE_NAME
    if path.is_file() and work_folders.has_saved(workdir) and genotype_hash(load_genotype(path)) != genotype_hash(genotype):
        raise InputError(f"network: differs from the genotype that {workdir} was begun with; use another workdir")
    with work_folders.at_work(workdir, "training"):
        replace_file(path, format_genotype(genotype))
    return str(path)


def _of_path(network: str | os.PathLike, weights: Any, is_said: bool) -> dict[str, Any]:
    """Returns the bindings of a path, from whose weights training starts."""
    source = resolve(network)
    expect(weights == "trained", "weights", f"'trained', because {os.fspath(network)} has its own weights", weights)
    if isinstance(source, Weights):
        if not source.path.exists() and not is_path(network):
            source.description()  # raises an error that says what is wrong with the name
        return _starting_from(network)
    return ({} if is_said else _preparing(source.image_preprocessing())) | _starting_from(network)


def _starting_from(place: str | os.PathLike) -> dict[str, Any]:
    return {"train.initial_weights": os.fspath(place), "train.genotype": None, "train.network": None}


def _fresh(network: Any) -> dict[str, Any]:
    """Returns the bindings of fresh weights, of which none are frozen, and prints that the training starts from fresh weights."""
    called = "a genotype" if isinstance(network, Genotype) else repr(os.fspath(network))
    print(f"network: {called} starts from fresh weights", file=sys.stderr, flush=True)
    return {"train.initial_weights": None, "TrainingConfig.frozen_epochs": 0}


def _architecture(network: NamedNetwork, config: Any, bound: Mapping[str, str], said: Collection[str], genotype: str) -> dict[str, Any]:
    """Returns the bindings of an architecture, except fields that only matter in training and that the recipe binds."""
    fields = {f"NetworkConfig.{field.name}": getattr(config, field.name) for field in dataclasses.fields(config)}
    values = {name: value for name, value in fields.items() if name.rpartition(".")[2] not in _OF_TRAINING or name not in bound}
    widths = ("NetworkConfig.filters", "NetworkConfig.penultimate_filters")
    if any(name in said for name in widths):  # only one of the two may be set
        values |= dict.fromkeys(widths)
    return values | {"train.genotype": genotype, "train.network": "@NetworkConfig()"}


def _preparing(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns the bindings that prepare images as a network takes them. The recipe decides about augmentation."""
    kind = type(preprocessing).__name__
    return {_PREPROCESSING: f"@{kind}()", f"{kind}.image_size": preprocessing.image_size}
