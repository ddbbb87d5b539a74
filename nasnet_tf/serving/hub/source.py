"""The interface of every source of networks and weights; nasnet_tf.serving.hub.sources implements the kinds."""

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
    """How a network should differ from its source, as for load_nasnet; None keeps the source's value."""

    num_classes: int | None = None
    image_size: tuple[int | None, int | None] | None = None
    dropout: float | None = None
    drop_path: float | None = None
    needs_head: bool = True
    batch_norm_momentum: float | None = None
    may_start_fresh: bool = True  # whether a classifier of num_classes starts fresh if the weights have another number


class Source:
    """A source of a network, its weights and its description."""

    path: pathlib.Path

    def description(self, resize: str | None = None) -> dict:
        """Returns the content of data.json: the task, the class names, the preprocessing. Builds no network.

        Args:
          resize: for a named ImageNet network, see ImageNetPreprocessing; None for its default.
        """
        raise NotImplementedError

    def description_for(self, task: str, expected: str) -> dict:
        """Returns `description` if the network is for a task.

        Args:
          task: "classification" or "detection".
          expected: end of the error message for a network of another task.

        Raises:
          InputError: the network is for another task.
        """
        description = self.description()
        if not work_folder.is_for(description, task):
            raise InputError(f"{self.path}: holds a network for {work_folder.task_kind(description)}; {expected}")
        return description

    def classes(self) -> tuple[Preprocessing, list[str]]:
        """Returns a classifier's preprocessing and the names of its classes. Raises InputError for other networks."""
        description = self.description_for("classification", "expected one for classification (load_detector takes detectors)")
        return preprocessing_from_config(description["preprocessing"]), description["class_names"]

    def image_preprocessing(self) -> Preprocessing:
        """Returns a classifier's preprocessing. Raises InputError for other networks."""
        return self.classes()[0]

    def has_several_labels(self) -> bool:
        """Returns whether an image may have several labels, so that each class has its own probability."""
        return work_folder.has_several_labels(self.description())

    def own_class_names(self) -> list[str] | None:
        """Returns the names of the classes of the weights' classifier; None if they are not known, and for detectors."""
        return None

    def trained(self) -> keras.Model:
        """Returns the network with all its heads, as it was trained. Only for sources that know their `own_class_names`."""
        raise NotImplementedError

    def architecture(self) -> tuple[Genotype, NetworkConfig]:
        """Returns the cells and the configuration; for weights alone, those of the zoo's network with the same number of parameters.

        Raises:
          InputError: the weights fit no network of the zoo, or the source is a detector.
        """
        key = recognized(self.path)
        if key is None:
            raise InputError(
                f"{self.path}: its number of parameters fits no network of list_models(), so its architecture is unknown; "
                f"{UNKNOWN_ARCHITECTURE}"
            )
        return load_genotype(ZOO[key].genotype), ZOO[key].config

    def model(self, weights, options: Options = Options()) -> keras.Model:
        """Returns a classifier; weights as for load_nasnet."""
        is_source = weights is None or isinstance(weights, (str, os.PathLike, keras.Model))
        expect(is_source, "weights", "'trained', a file, or None for fresh ones", weights)
        return self._model(weights, options)

    def _model(self, weights, options: Options) -> keras.Model:
        raise NotImplementedError

    def check_features(self) -> None:
        """Raises InputError if load_features would find no source of weights; reads and downloads nothing."""
        find_weights(self.path)

    def load_features(self, network: keras.Model) -> None:
        """Sets all weights of a network but those of its heads. Raises InputError, and changes nothing, if they do not fit."""
        load_weights(network, self.path, heads=False)
