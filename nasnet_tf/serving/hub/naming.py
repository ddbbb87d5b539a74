"""What a person calls a network: a name, a size, an export, a work folder, a `.keras` file."""

import dataclasses
import difflib
import os
import re

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.values import expect
from nasnet_tf.data import Preprocessing, imagenet_classes, preprocessing_from_config
from nasnet_tf.genotype import Genotype, genotype_hash, load_genotype
from nasnet_tf.models.description import config_of, genotype_of
from nasnet_tf.models.network import NetworkConfig, first_stack_filters
from nasnet_tf.models.stems import STEMS, stem_for
from nasnet_tf.models.zoo import ZOO, Variant, canonical_name, is_path
from nasnet_tf.serving.exports import keras_archive
from nasnet_tf.serving.weights.public import NETWORKS
from nasnet_tf.training import work_folder

_SIZE = re.compile(r"\s*(\d+)\s*@\s*(\d+)\s*")  # "6 @ 768"


@dataclasses.dataclass(frozen=True)
class Network:
    """Attributes:
    key: the row of the zoo; None for a size that has none.
    genotype: a message, or the name of a published one.
    image_size: (height, width), None for any.
    preprocessing: "cifar" or "imagenet", as for a row of the zoo.
    """

    key: str | None
    genotype: Genotype | str
    config: NetworkConfig
    num_classes: int
    image_size: tuple[int | None, int | None]
    preprocessing: str


def find_network(
    name_or_path: str | os.PathLike,
    genotype: Genotype | str | os.PathLike | None = None,
    stem: str | None = None,
    image_size: tuple[int | None, int | None] | None = None,
    config: NetworkConfig | None = None,
    **changes,
) -> Network | None:
    """The network that a name of the zoo or a size means; None for a path and whatever else. Arguments as for load_nasnet.

    Args:
      changes: fields of the configuration to say otherwise; None leaves one as it is.

    Raises:
      InputError: options that contradict the name or each other.
    """
    expect(isinstance(name_or_path, (str, os.PathLike)), "network", "a name, a size such as '6 @ 768', or a path", name_or_path)
    if is_path(name_or_path):
        return None
    name = os.fspath(name_or_path)
    key, size = canonical_name(name), _SIZE.fullmatch(name)
    if key is None and size is None:
        return None
    if key is not None and (genotype is not None or stem is not None):
        raise InputError(f"network {name_or_path!r}: genotype and stem go with a size such as '6 @ 768'; {name_or_path!r} has its own")
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
    row_config = dataclasses.replace(row.config, **{field: value for field, value in changes.items() if value is not None})
    default_size = (row.image_size, row.image_size)
    return Network(key, row.genotype, row_config, row.num_classes, image_size or default_size, row.preprocessing)


def list_models(pretrained: bool = False) -> list[str]:
    """The names that load_nasnet knows: every network of the paper, or those with public weights."""
    return list(NETWORKS if pretrained else ZOO)


def unknown_network(name_or_path: str | os.PathLike) -> InputError:
    """The error for what is neither a network nor a folder."""
    if is_path(name_or_path):
        return InputError(f"{os.fspath(name_or_path)}: no such folder; expected an export or the work folder of a training")
    near = difflib.get_close_matches(os.fspath(name_or_path).lower(), ZOO, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(
        f"network {name_or_path!r}: {hint}no such folder, and not one of the names {', '.join(ZOO)}, nor a size such as '6 @ 768'"
    )


def _message(genotype: Genotype | str | os.PathLike) -> Genotype:
    return genotype if isinstance(genotype, Genotype) else load_genotype(genotype)


def _row_of(genotype: Genotype, cells_per_stack: int, penultimate_filters: int, stem: str | None) -> str | None:
    """The row of the zoo with these cells, of this size and, where one is said, with this stem."""
    for key, row in ZOO.items():
        of_size = (row.config.cells_per_stack, row.config.penultimate_filters) == (cells_per_stack, penultimate_filters)
        if of_size and stem in (None, row.config.stem) and genotype_hash(load_genotype(row.genotype)) == genotype_hash(genotype):
            return key
    return None


def _check_config(name: str, row: Variant, config: NetworkConfig, stem: str | None) -> None:
    """That a configuration is of the size and stem that were said besides."""
    genotype = _message(row.genotype)
    said, meant = ((each.cells_per_stack, first_stack_filters(genotype, each)) for each in (config, row.config))
    if said != meant:
        raise InputError(
            f"network {name!r}: has {meant[0]} cells in a stack and {meant[1]} filters in the first, config has {said[0]} and {said[1]}"
        )
    if stem not in (None, config.stem):
        raise InputError(f"network {name!r}: stem {stem!r} is said, config has {config.stem!r}")


def architecture_of(source: str | os.PathLike) -> tuple[Genotype, NetworkConfig]:
    """Cells and configuration of a network by name, an export or a work folder.

    Raises:
      InputError: what does not say its network, such as a weights file; a detector.
    """
    network = find_network(source)
    if network is not None:
        genotype = network.genotype if isinstance(network.genotype, Genotype) else load_genotype(network.genotype)
        return genotype, network.config
    folder = user_path(source)
    if not (folder / "model.json").is_file():
        raise InputError(f"{os.fspath(source)}: does not say its network; expected bindings of train.genotype and train.network beside it")
    model, description = work_folder.read_description(folder)
    if (kind := work_folder.task_kind(description)) != "classification":
        raise InputError(f"{folder}: holds a network for {kind}; expected bindings of train.genotype and train.network beside it")
    return genotype_of(model), config_of(model)


_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def network_preprocessing(
    name_or_path: str | os.PathLike, image_size: tuple[int | None, int | None] | None = None
) -> tuple[Preprocessing, list[str]]:
    """How images are prepared for what load_nasnet takes, and the names of its classes. No network is built."""
    network = find_network(name_or_path, image_size=image_size)
    if network is not None:
        preprocessing = preprocessing_from_config({"kind": network.preprocessing, "image_size": max(filter(None, network.image_size))})
        return preprocessing, list(_CIFAR10_CLASSES if network.num_classes == 10 else [name for _, name in imagenet_classes()])
    folder = user_path(name_or_path)
    is_file = folder.is_file() and folder.suffix == ".keras"
    if not folder.is_dir() and not is_file:
        raise unknown_network(name_or_path)
    description = keras_archive.read_data_description(folder) if is_file else work_folder.read_data_description(folder)
    if (kind := work_folder.task_kind(description)) != "classification":
        raise InputError(f"{folder}: holds a network for {kind}; expected one for classification")
    try:
        return preprocessing_from_config(description["preprocessing"]), description["class_names"]
    except InputError as error:
        raise InputError(f"{folder / 'data.json'}: {error}") from error


def class_names(network: str | os.PathLike) -> list[str]:
    """The names of a network's classes, in the order of its logits; network as for load_nasnet."""
    return network_preprocessing(network)[1]
