"""The architecture of what a training may start from."""

import os

from nasnet_tf.errors import InputError
from nasnet_tf.files import user_path
from nasnet_tf.genotype import Genotype, load_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.reading import config_of, genotype_of
from nasnet_tf.serving.networks import find_network
from nasnet_tf.training import checkpoints


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
    model, description = checkpoints.read_description(folder)
    if (kind := checkpoints.task_kind(description)) != "classification":
        raise InputError(f"{folder}: holds a network for {kind}; expected bindings of train.genotype and train.network beside it")
    return genotype_of(model), config_of(model)
