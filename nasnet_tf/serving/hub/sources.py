"""The kinds of sources: a network to build, a work folder, an export, a .keras file, a network in memory, or weights alone.

nasnet_tf.serving.hub.naming.resolve chooses one for a name, and all later code uses that object.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Collection

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.values import expect
from nasnet_tf.data import ImageNetPreprocessing, Preprocessing, imagenet_classes, preprocessing_from_config
from nasnet_tf.genotype import Genotype, load_genotype
from nasnet_tf.models.description import config_of, genotype_of
from nasnet_tf.models.network import NetworkConfig, build_network, inference_model
from nasnet_tf.models.zoo import ZOO, is_path
from nasnet_tf.serving.exports import in_memory, keras_archive, manifest, saved_model
from nasnet_tf.serving.hub.source import UNKNOWN_ARCHITECTURE, Options, Source
from nasnet_tf.serving.hub.variations import init_small, layer_of, rebuilt, with_classifier
from nasnet_tf.serving.weights import public
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.serving.weights.files import open_weights
from nasnet_tf.training import checkpoints, work_folder
from nasnet_tf.training.variables import load_named_weights

_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_NAMES_EXPECTED = "pass class_names to load_classifier, or export the network with them: export(model, {'class_names': [...]}, folder)"
_HEADS = ("logits", "auxiliary_logits")


@dataclasses.dataclass(frozen=True)
class NamedNetwork(Source):
    """A network of the zoo or of a size such as "6 @ 768".

    Attributes:
      name: the name as the user gave it.
      key: the row of the zoo; None for a size that has none.
      genotype: a message, or the name of a published one.
      fresh_config: configuration for fresh weights; its batch normalization adapts in a short training.
      image_size: (height, width), None for any.
      preprocessing: "cifar" or "imagenet", as for a row of the zoo.
    """

    name: str
    key: str | None
    genotype: Genotype | str
    config: NetworkConfig
    num_classes: int
    image_size: tuple[int | None, int | None]
    preprocessing: str
    fresh_config: NetworkConfig

    @property
    def path(self) -> pathlib.Path:
        """Path that a file of this name would have."""
        return user_path(self.name)

    def description(self, resize: str | None = None) -> dict:
        preprocessing = preprocessing_from_config({"kind": self.preprocessing, "image_size": max(filter(None, self.image_size))})
        if resize is not None:
            if not isinstance(preprocessing, ImageNetPreprocessing):
                raise InputError(f"--resize: expected a network with ImageNet's preprocessing, got {self.name}")
            preprocessing = dataclasses.replace(preprocessing, resize=resize)
        names = list(_CIFAR10_CLASSES if self.num_classes == 10 else [name for _, name in imagenet_classes()])
        return {"task": "classification", "class_names": names, "preprocessing": preprocessing.config()}

    def description_for(self, task: str, expected: str) -> dict:
        if task == "detection":
            raise InputError(f"{self.name}: no trained detectors are public; {expected}: the work folder of its training, or its export")
        return super().description_for(task, expected)

    def own_class_names(self) -> list[str] | None:
        return self.description()["class_names"] if self.key in public.NETWORKS else None

    def trained(self) -> keras.Model:
        return self.model("trained")

    def architecture(self) -> tuple[Genotype, NetworkConfig]:
        return self.genotype if isinstance(self.genotype, Genotype) else load_genotype(self.genotype), self.config

    def _model(self, weights, options: Options) -> keras.Model:
        asked, needs_head = options.num_classes, options.needs_head
        if isinstance(weights, str) and weights in ("trained", "imagenet"):
            if self.key not in public.NETWORKS:
                raise InputError(
                    f"network {self.name!r}: no pretrained weights are known for it, only for {', '.join(public.NETWORKS)}; give a "
                    "weights file, or ask for fresh weights (weights=None in Python)"
                )
            needs_top = needs_head and (asked in (None, self.num_classes) or not options.may_start_fresh)
            weights = public.public_weights(self.key, include_top=needs_top)
        classes = (self.num_classes if asked is None else asked) if needs_head else None
        config = self.fresh_config if weights is None else self.config
        model = build_network(self.genotype, config, classes, self.image_size)
        if weights is None:
            return model
        file = open_weights(weights, model)
        # If the file has another number of classes than was asked for, the classifier starts fresh.
        is_fresh = needs_head and asked is not None and not file.has_classifier_for(asked)
        if is_fresh and not options.may_start_fresh:
            raise InputError(
                f"{file.place}: expected a classifier of {asked} classes, as class_names says, found {file.num_classes or 'none'}"
            )
        load_weights(model, file, heads=needs_head and not is_fresh)
        if is_fresh:
            init_small(model.get_layer("logits"))
        return model

    def check_features(self) -> None:
        if self.key not in public.NETWORKS:
            super().check_features()

    def load_features(self, network: keras.Model) -> None:
        path = public.public_weights(self.key, include_top=False) if self.key in public.NETWORKS else self.path
        load_weights(network, path, heads=False)


@dataclasses.dataclass(frozen=True)
class _Trained(Source):
    """A network with weights of its own."""

    path: pathlib.Path

    def description(self, resize: str | None = None) -> dict:
        if resize is not None:
            raise InputError(f"--resize: can only be used with the name of a network; {self.path} has its own preprocessing")
        return self._description()

    def _model(self, weights, options: Options) -> keras.Model:
        if weights is not None and not (isinstance(weights, str) and weights == "trained"):
            raise InputError(f"{self.path}: weights: expected 'trained' or None with a path, got {weights!r}")
        model = self._network(is_trained=weights is not None)
        if options.num_classes is not None or options.dropout is not None:
            model = with_classifier(model, options.num_classes, options.dropout)
        has_policy = keras.config.dtype_policy() == layer_of(model, "cell_0").dtype_policy
        changes = options.image_size, options.drop_path, options.batch_norm_momentum
        if any(change is not None for change in changes) or not has_policy:
            model = rebuilt(model, *changes)
        return model

    def _description(self) -> dict:
        return work_folder.read_data_description(self.path)

    def own_class_names(self) -> list[str] | None:
        description = self.description()
        return description["class_names"] if work_folder.is_for(description, "classification") else None

    def trained(self) -> keras.Model:
        model = work_folder.read_description(self.path)[0]
        self.load_weights(model)
        return model

    def _network(self, is_trained: bool) -> keras.Model:
        """Returns the classifier as it was trained, or with fresh weights."""
        self.classes()
        model = inference_model(work_folder.read_description(self.path)[0])
        if is_trained:
            self.load_weights(model)
        return model

    def load_weights(self, model: keras.Model, without: Collection[str] = ()) -> None:
        """Sets the weights of a network of this description, or of one with other heads; `without` names those heads."""
        raise NotImplementedError

    def architecture(self) -> tuple[Genotype, NetworkConfig]:
        self.description_for("classification", UNKNOWN_ARCHITECTURE)
        model, _ = work_folder.read_description(self.path)
        return genotype_of(model), config_of(model)

    def check_features(self) -> None:
        pass

    def load_features(self, network: keras.Model) -> None:
        self.load_weights(network, _HEADS)


class WorkFolder(_Trained):
    """The work folder of a training; its best weights are used."""

    def load_weights(self, model: keras.Model, without: Collection[str] = ()) -> None:
        checkpoints.load_trained(self.path, model, without=without)


class Export(_Trained):
    """A folder that `export` wrote, in any format."""

    def load_weights(self, model: keras.Model, without: Collection[str] = ()) -> None:
        manifest.verify(self.path, saved_model.DESCRIPTIONS)
        if saved_model.is_export(self.path):
            manifest.verify(self.path, ["saved_model.pb", "variables"])
            load_named_weights(saved_model.weights_checkpoint(self.path), model, without=without)
            return
        archive = self.path / "model.keras"
        if not archive.is_file():
            raise InputError(f"{self.path}: is for inference only; load_nasnet takes exports with --format=saved_model or --format=keras")
        manifest.verify(self.path, [archive.name])
        load_weights(model, archive, heads=not without)


class KerasFile(_Trained):
    """A .keras file: a network of ours, saved by Keras or `export --format=keras`, or the weights of a network of keras.applications."""

    check_features = Source.check_features
    load_features = Source.load_features

    def _description(self) -> dict:
        description = keras_archive.read_data_description(self.path)
        if description is None:
            raise InputError(f"{self.path}: does not say the names of its classes; {_NAMES_EXPECTED}")
        return work_folder.checked_data_description(description, f"{self.path}, data.json")

    def image_preprocessing(self) -> Preprocessing:
        if keras_archive.read_data_description(self.path) is not None:
            return super().image_preprocessing()
        return in_memory.preprocessing_of(keras_archive.read_network(self.path, with_weights=False))

    def has_several_labels(self) -> bool:
        return keras_archive.read_data_description(self.path) is not None and super().has_several_labels()

    def own_class_names(self) -> list[str] | None:
        return None if keras_archive.read_data_description(self.path) is None else super().own_class_names()

    def trained(self) -> keras.Model:
        return keras_archive.read_network(self.path)

    def architecture(self) -> tuple[Genotype, NetworkConfig]:
        if not keras_archive.is_ours(self.path):
            return Source.architecture(self)
        model = keras_archive.read_network(self.path, with_weights=False)
        return genotype_of(model), config_of(model)

    def _network(self, is_trained: bool) -> keras.Model:
        return inference_model(keras_archive.read_network(self.path, is_trained))


@dataclasses.dataclass(frozen=True)
class LiveModel(Source):
    """A network in memory."""

    network: keras.Model

    @property
    def path(self) -> pathlib.Path:
        """Name of the network in messages."""
        return pathlib.Path(f"Keras model {self.network.name!r}")

    def description(self, resize: str | None = None) -> dict:
        raise InputError(f"{self.path}: does not say the names of its classes; {_NAMES_EXPECTED}")

    def image_preprocessing(self) -> Preprocessing:
        return in_memory.preprocessing_of(self.network)

    def has_several_labels(self) -> bool:
        return False

    def _model(self, weights, options: Options) -> keras.Model:
        expect(weights == "trained", f"{self.path}: weights", "'trained', because a network in memory has its own weights", weights)
        expect(options == Options(), f"{self.path}: options", "none, because a network in memory is used as it is", options)
        return inference_model(self.network)

    def load_features(self, network: keras.Model) -> None:
        load_weights(network, self.network, heads=False)


@dataclasses.dataclass(frozen=True)
class Weights(Source):
    """A path that is no network by itself: a weights file, a folder with one, or nothing at all.

    Attributes:
      name: the name as the user gave it.
    """

    path: pathlib.Path
    name: str | os.PathLike

    def description(self, resize: str | None = None) -> dict:
        raise self._unknown()

    def _model(self, weights, options: Options) -> keras.Model:
        raise self._unknown()

    def _unknown(self) -> InputError:
        """Returns the error for a path that should be a network."""
        if self.path.is_dir():
            return InputError(f"{self.path}: holds no trained network; expected a file model.json there")
        if self.path.is_file():
            return InputError(
                f"{self.path}: is a file; expected the folder of an export or a training (a weights file also needs a network's name)"
            )
        if is_path(self.name):
            return InputError(f"{os.fspath(self.name)}: no such folder; expected an export or the work folder of a training")
        near = difflib.get_close_matches(os.fspath(self.name).lower(), ZOO, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = f"not one of the names {', '.join(ZOO)}, nor a size such as '6 @ 768'"
        return InputError(f"network {self.name!r}: {hint}no such folder, and {known}")
