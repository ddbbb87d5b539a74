"""Resolves what a user calls a network: a name, a size, an export, a work folder, a .keras file."""

import dataclasses
import os
import pathlib
import re
from typing import TypeAlias

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.values import expect
from nasnet_tf.genotype import Genotype, genotype_hash, load_genotype
from nasnet_tf.models.network import NetworkConfig, first_stack_filters
from nasnet_tf.models.stems import STEMS, stem_for
from nasnet_tf.models.zoo import ZOO, Variant, canonical_name, is_path
from nasnet_tf.serving.exports import manifest, saved_model
from nasnet_tf.serving.hub.source import Source
from nasnet_tf.serving.hub.sources import Export, KerasFile, LiveModel, NamedNetwork, Weights, WorkFolder
from nasnet_tf.serving.weights.public import NETWORKS

_SIZE = re.compile(r"\s*(\d+)\s*@\s*(\d+)\s*")  # "6 @ 768"
_OF_NAMES = ("genotype", "stem", "config", "prev_skips_reduction", "bounded_activation")  # options for names and sizes only
Name: TypeAlias = str | os.PathLike | keras.Model | Source  # a Source resolves to itself


def resolve(name: Name, **options) -> Source:
    """Returns the source that a zoo name, a size, a path or a network in memory means. Reads no file.

    A text with a separator or a "~" at its start, and any PathLike, is a path; other texts are tried as names first.

    Args:
      options: as for find_network; None keeps the default of an option.

    Raises:
      InputError: options contradict the name or each other, or are only for a name or a size.
    """
    if isinstance(name, Source):
        return name
    expect(isinstance(name, (str, os.PathLike, keras.Model)), "network", "a name, a size such as '6 @ 768', or a path", name)
    network = None if isinstance(name, keras.Model) else find_network(name, **options)
    if network is not None:
        return network
    if said := [option for option in _OF_NAMES if options.get(option) is not None]:
        called = name.name if isinstance(name, keras.Model) else os.fspath(name)
        raise InputError(f"{called}: expected no {' and '.join(said)}, which can only be set for a network that is given by name or size")
    if isinstance(name, keras.Model):
        return LiveModel(name)
    return _resolve_path(user_path(name), name)


def _resolve_path(path: pathlib.Path, name: str | os.PathLike) -> Source:
    is_described = (path / "model.json").is_file()
    if saved_model.is_export(path) or (is_described and (path / manifest.NAME).is_file()):
        return Export(path)
    if is_described:
        return WorkFolder(path)
    return KerasFile(path) if path.suffix == ".keras" and path.is_file() else Weights(path, name)


def find_network(
    name: str | os.PathLike,
    genotype: Genotype | str | os.PathLike | None = None,
    stem: str | None = None,
    image_size: tuple[int | None, int | None] | None = None,
    config: NetworkConfig | None = None,
    **changes,
) -> NamedNetwork | None:
    """Returns the network that a zoo name or a size means, or None for anything else, such as a path. Arguments are as for load_nasnet.

    Args:
      changes: fields of the configuration to change; None keeps a field.

    Raises:
      InputError: options contradict the name or each other.
    """
    if is_path(name):
        return None
    name = os.fspath(name)
    key, size = canonical_name(name), _SIZE.fullmatch(name)
    if key is None and size is None:
        return None
    if key is not None and (genotype is not None or stem is not None):
        raise InputError(f"network {name!r}: genotype and stem can only be set for a size such as '6 @ 768'; leave them out")
    if size is not None:
        cells_per_stack, penultimate_filters = map(int, size.groups())
        genotype = load_genotype("nasnet_a") if genotype is None else _message(genotype)
        if stem is None and config is not None:
            stem = config.stem
        elif stem is None and image_size is not None:
            stem = stem_for(image_size)
        key = _row_of(genotype, cells_per_stack, penultimate_filters, stem)
    if key is not None:
        row = ZOO[key]
    else:
        stem = stem or stem_for((None, None))
        row = ZOO[STEMS[stem].row]
        plain = dataclasses.replace(row.config, stem=stem, cells_per_stack=cells_per_stack, penultimate_filters=penultimate_filters)
        row = dataclasses.replace(row, config=plain, genotype=genotype)
    if config is not None:
        _check_config(name, row, config, stem)
        row = dataclasses.replace(row, config=config)
    said = {field: value for field, value in changes.items() if value is not None}
    row_config = dataclasses.replace(row.config, **said)
    has_momentum = config is not None or "batch_norm_momentum" in said
    fresh_config = row_config if has_momentum else dataclasses.replace(row_config, batch_norm_momentum=NetworkConfig.batch_norm_momentum)
    sides = image_size or (row.image_size, row.image_size)
    return NamedNetwork(name, key, row.genotype, row_config, row.num_classes, sides, row.preprocessing, fresh_config)


def class_names(network: Name) -> list[str]:
    """Returns the names of a network's classes, in the order of its logits.

    Args:
      network: a name, a size or a path, as for load_nasnet.

    Raises:
      InputError: the network is unknown, or does not say the names of its classes.
    """
    return resolve(network).classes()[1]


def list_models(pretrained: bool = False) -> list[str]:
    """Returns the names that load_nasnet knows.

    Args:
      pretrained: whether to return only the networks with public weights.
    """
    return list(NETWORKS if pretrained else ZOO)


def _message(genotype: Genotype | str | os.PathLike) -> Genotype:
    return genotype if isinstance(genotype, Genotype) else load_genotype(genotype)


def _row_of(genotype: Genotype, cells_per_stack: int, penultimate_filters: int, stem: str | None) -> str | None:
    """Returns the row of the zoo with these cells, this size and, if one is given, this stem; None if there is none."""
    for key, row in ZOO.items():
        of_size = (row.config.cells_per_stack, row.config.penultimate_filters) == (cells_per_stack, penultimate_filters)
        if of_size and stem in (None, row.config.stem) and genotype_hash(load_genotype(row.genotype)) == genotype_hash(genotype):
            return key
    return None


def _check_config(name: str, row: Variant, config: NetworkConfig, stem: str | None) -> None:
    """Raises InputError if a configuration has another size or stem than the other arguments."""
    genotype = _message(row.genotype)
    said, meant = ((each.cells_per_stack, first_stack_filters(genotype, each)) for each in (config, row.config))
    if said != meant:
        raise InputError(
            f"network {name!r}: expected {meant[0]} cells and {meant[1]} filters in the first stack, config has {said[0]} and {said[1]}"
        )
    if stem not in (None, config.stem):
        raise InputError(f"network {name!r}: expected the stem {stem!r}, config has {config.stem!r}")
