"""What can be asked of every source of networks and weights; nasnet_tf.serving.hub.sources has the kinds that there are."""

import dataclasses
import os
import pathlib

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.data import Preprocessing, preprocessing_from_config
from nasnet_tf.genotype import Genotype, load_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.serving.weights.files import find_weights
from nasnet_tf.serving.weights.recognition import recognized
from nasnet_tf.training import work_folder

UNKNOWN_ARCHITECTURE = (
    "bind train.genotype and train.network = @NetworkConfig(), with cells_per_stack, stem, stem_multiplier and filters or "
    "penultimate_filters of NetworkConfig"
)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a network is to differ from its source, as load_nasnet takes it; None leaves a value as it is."""

    num_classes: int | None = None
    image_size: tuple[int | None, int | None] | None = None
    dropout: float | None = None
    drop_path: float | None = None
    needs_head: bool = True
    batch_norm_momentum: float | None = None
    may_start_fresh: bool = True  # a classifier of num_classes, where the weights have another


class Source:
    """What every source can be asked."""

    path: pathlib.Path

    def description(self, resize: str | None = None) -> dict:
        """What data.json says, or would say: the task, the class names, the preprocessing. Builds no network.

        Args:
          resize: of a named ImageNet network, see ImageNetPreprocessing; None for its default.
        """
        raise NotImplementedError

    def description_for(self, task: str, expected: str) -> dict:
        """`description` of a network for "classification" or "detection". Raises InputError for others; `expected` ends its message."""
        description = self.description()
        if not work_folder.is_for(description, task):
            raise InputError(f"{self.path}: holds a network for {work_folder.task_kind(description)}; {expected}")
        return description

    def classes(self) -> tuple[Preprocessing, list[str]]:
        """How a classifier's images are prepared, and the names of its classes. Raises InputError for other networks."""
        description = self.description_for("classification", "expected one for classification (load_detector takes detectors)")
        return preprocessing_from_config(description["preprocessing"]), description["class_names"]

    def image_preprocessing(self) -> Preprocessing:
        """How a classifier's images are prepared. Raises InputError for other networks."""
        return self.classes()[0]

    def has_several_labels(self) -> bool:
        """Whether a classifier's classes have probabilities of their own, because an image may have several labels."""
        return work_folder.has_several_labels(self.description())

    def own_class_names(self) -> list[str] | None:
        """The names of the classes that the weights have a classifier for; None where nothing says them, and for detectors."""
        return None

    def trained(self) -> keras.Model:
        """The network with all its heads, as it was trained. For what says its class names."""
        raise NotImplementedError

    def architecture(self) -> tuple[Genotype, NetworkConfig]:
        """Cells and configuration. Of weights alone they are those of the network of the zoo that has such weights.

        Raises:
          InputError: weights of other networks, which do not say them, and detectors.
        """
        key = recognized(self.path)
        if key is None:
            raise InputError(
                f"{self.path}: has the weights of no network of list_models(), and does not say its own; {UNKNOWN_ARCHITECTURE}"
            )
        return load_genotype(ZOO[key].genotype), ZOO[key].config

    def model(self, weights, options: Options = Options()) -> keras.Model:
        """A classifier; weights as for load_nasnet."""
        is_source = weights is None or isinstance(weights, (str, os.PathLike, keras.Model))
        expect(is_source, "weights", "'trained', a file, or None for fresh ones", weights)
        return self._model(weights, options)

    def _model(self, weights, options: Options) -> keras.Model:
        raise NotImplementedError

    def check_features(self) -> None:
        """Raises InputError where load_features would find nothing of the kind that it takes; reads and downloads nothing."""
        find_weights(self.path)

    def load_features(self, network: keras.Model) -> None:
        """Sets all weights of a network but those of its heads. Raises InputError, and changes nothing, if they do not fit."""
        load_weights(network, self.path, heads=False)
