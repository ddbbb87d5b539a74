"""What a caller passes as the network to train, as bindings of a recipe: its architecture, its weights, and how it takes its images."""

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

GENOTYPE_NAME = "genotype.textproto"  # in a work folder, of a genotype that was passed as an object
SIZE = "4 @ 1056"  # of a genotype where the recipe binds none
_PREPROCESSING = "ImageData.preprocessing"
_OF_TRAINING = ("auxiliary_head", "dropout_rate", "drop_path_rate", "synchronized_batch_norm")  # fields of NetworkConfig


def network_bindings(
    network: Any,
    weights: str | os.PathLike | None,
    preprocessing: Preprocessing | None,
    said: Collection[str],
    bound: Mapping[str, str],
    workdir: pathlib.Path,
) -> dict[str, Any]:
    """Returns the bindings that make a recipe train this network. gin has the recipe's bindings and the caller's meanwhile.

    Args:
      network: a genotype, as a message, the name of a published one or the path of a textproto; the name or size of a network; or the path
        of a work folder, an export, a .keras file or weights of a named network.
      weights: "trained", None or "none" for fresh ones, or a file; as of nasnet_tf.train.
      preprocessing: of the caller's data; None for what gin has.
      said: names of the caller's own bindings, which override these.
      bound: gin's bindings, as text.
      workdir: gets the file of a genotype that is a message.

    Raises:
      InputError: anything else, or weights that `network` cannot have.
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
    """Returns what is a genotype, or names one; None for other networks."""
    if isinstance(network, Genotype):
        return network
    if isinstance(network, (str, os.PathLike)) and (network in published_genotypes() or os.fspath(network).endswith(".textproto")):
        return os.fspath(network)
    return None


def _message(genotype: Genotype | str) -> Genotype:
    return genotype if isinstance(genotype, Genotype) else load_genotype(genotype)


def _written(genotype: Genotype | str, workdir: pathlib.Path) -> str:
    """Returns the name or path of a genotype; one that has neither is written into the work folder."""
    if isinstance(genotype, str):
        load_genotype(genotype)
        return genotype
    same = [name for name in published_genotypes() if genotype_hash(load_genotype(name)) == genotype_hash(genotype)]
    if same:
        return same[0]
    path = workdir.absolute() / GENOTYPE_NAME
    if path.is_file() and work_folders.has_saved(workdir) and genotype_hash(load_genotype(path)) != genotype_hash(genotype):
        raise InputError(f"network: is another genotype than the one that {workdir} was begun with; take another workdir")
    with work_folders.at_work(workdir, "training"):
        replace_file(path, format_genotype(genotype))
    return str(path)


def _of_path(network: str | os.PathLike, weights: Any, is_said: bool) -> dict[str, Any]:
    """The bindings of a path: training starts from its weights."""
    source = resolve(network)
    expect(weights == "trained", "weights", f"'trained', because {os.fspath(network)} has its own", weights)
    if isinstance(source, Weights):
        if not source.path.exists() and not is_path(network):
            source.description()  # raises what is wrong with the name
        return _starting_from(network)
    return ({} if is_said else _preparing(source.image_preprocessing())) | _starting_from(network)


def _starting_from(place: str | os.PathLike) -> dict[str, Any]:
    return {"train.initial_weights": os.fspath(place), "train.genotype": None, "train.network": None}


def _fresh(network: Any) -> dict[str, Any]:
    """The bindings of fresh weights, of which nothing is to be frozen; says so."""
    called = "a genotype" if isinstance(network, Genotype) else repr(os.fspath(network))
    print(f"network: {called} starts from fresh weights", file=sys.stderr, flush=True)
    return {"train.initial_weights": None, "TrainingConfig.frozen_epochs": 0}


def _architecture(network: NamedNetwork, config: Any, bound: Mapping[str, str], said: Collection[str], genotype: str) -> dict[str, Any]:
    """The bindings of an architecture; what only matters in training is the recipe's, where it binds it."""
    fields = {f"NetworkConfig.{field.name}": getattr(config, field.name) for field in dataclasses.fields(config)}
    values = {name: value for name, value in fields.items() if name.rpartition(".")[2] not in _OF_TRAINING or name not in bound}
    widths = ("NetworkConfig.filters", "NetworkConfig.penultimate_filters")
    if any(name in said for name in widths):  # one of the two
        values |= dict.fromkeys(widths)
    return values | {"train.genotype": genotype, "train.network": "@NetworkConfig()"}


def _preparing(preprocessing: Preprocessing) -> dict[str, Any]:
    """The bindings of images as a network takes them; how they are augmented is up to the recipe."""
    kind = type(preprocessing).__name__
    return {_PREPROCESSING: f"@{kind}()", f"{kind}.image_size": preprocessing.image_size}
