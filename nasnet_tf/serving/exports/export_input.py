"""The input of an export: a network, the description of its data, and pictures to check the exported files with."""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import shown
from nasnet_tf.base.spread import evenly
from nasnet_tf.data import Preprocessing, preprocessing_from_config
from nasnet_tf.models.heads import GlobalPool
from nasnet_tf.serving.exports.inference_graph import freeze
from nasnet_tf.training.work_folder import has_several_labels

_NOISE_IMAGES = 8
_CALIBRATION_IMAGES = 100  # TensorFlow's guide recommends about 100 to 500
_BATCH = 32
_THRESHOLD = 0.5  # probability from which one of several labels counts as found


@dataclasses.dataclass(frozen=True)
class ExportInput:
    """A network to export, and what its exported files are checked with.

    Attributes:
      model: from prepared images to logits, as in_memory.classifier_of returns it.
      data_description: {"class_names": [...], "preprocessing": {...}}, as the training wrote it.
      pictures: float32 [count, height, width, 3] in [0, 1], to check exported files with and to calibrate int8 formats. None means noise,
        which checks but calibrates nothing.
    """

    model: keras.Model
    data_description: dict
    pictures: np.ndarray | None = None

    @functools.cached_property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that the data description names."""
        return preprocessing_from_config(self.data_description["preprocessing"])

    @property
    def images_spec(self) -> tf.TensorSpec:
        """Specification of a batch of images in [0, 1]."""
        return tf.TensorSpec([None, *self.model.input.shape[1:]], tf.float32, "images")

    @functools.cached_property
    def checked_on(self) -> np.ndarray:
        """The images that files are checked on: float32 [count, height, width, 3] in [0, 1]."""
        if self.pictures is not None:
            return self.pictures
        height, width = (size or self.preprocessing.image_size for size in self.model.input.shape[1:3])
        return np.random.default_rng(0).random([_NOISE_IMAGES, height, width, 3], np.float32)

    @property
    def calibration_pictures(self) -> np.ndarray:
        """At most 100 of the pictures, spread evenly, because pictures are often sorted by class."""
        return self.pictures[evenly(len(self.pictures), _CALIBRATION_IMAGES)]

    @functools.cached_property
    def expected(self) -> np.ndarray:
        """The live model's probabilities for `checked_on`, float32 [count, num_classes]."""

        @tf.function(autograph=False, input_signature=[self.images_spec])
        def live(images):
            logits = self.model(self.preprocessing.normalize(images), training=False)
            return probabilities(logits, has_several_labels(self.data_description))

        return in_batches(live, self.checked_on)

    @functools.cached_property
    def infer(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The frozen network: from prepared images to "logits" and "feature_vector", the input of the classifier."""
        features = next(layer.output for layer in self.model.layers if isinstance(layer, GlobalPool))
        return freeze(keras.Model(self.model.input, {"logits": self.model.output, "feature_vector": features}))

    @functools.cached_property
    def frozen(self) -> tempfile.TemporaryDirectory:
        """The frozen network as a SavedModel, for converters: `answer` as its signature. The folder lives as long as this object."""
        module, folder = tf.Module(), tempfile.TemporaryDirectory()
        module.serve = tf.function(self.answer, autograph=False, input_signature=[self.images_spec])
        tf.saved_model.save(module, folder.name, signatures={"serving_default": module.serve})
        return folder

    def answer(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the frozen network: from images in [0, 1] to "logits" and "probabilities"."""
        return answer(self.infer(self.preprocessing.normalize(images))["logits"], self.data_description)

    def agreement(self, actual: np.ndarray) -> tuple[str, float]:
        """Returns (measure, value in [0, 1]): the fraction of labels that agree between `expected` and `actual`, both for `checked_on`."""
        if has_several_labels(self.data_description):
            return "label agreement", float(((actual >= _THRESHOLD) == (self.expected >= _THRESHOLD)).mean())
        return "top-1 agreement", float((actual.argmax(1) == self.expected.argmax(1)).mean())


def probabilities(logits: tf.Tensor, several_labels: bool) -> tf.Tensor:
    """Returns the probabilities of the classes, float32 [batch, num_classes]: sigmoids for several labels of an image, else the softmax."""
    return tf.sigmoid(logits) if several_labels else tf.nn.softmax(logits)


def answer(logits: tf.Tensor, data_description: Mapping) -> dict[str, tf.Tensor]:
    """Returns what an exported network answers in every format: "logits" and "probabilities"."""
    return {"logits": logits, "probabilities": probabilities(logits, has_several_labels(data_description))}


def in_batches(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Runs a function on a few images at a time and returns all results as one array."""
    return np.concatenate([np.asarray(run(images[start : start + _BATCH])) for start in range(0, len(images), _BATCH)])


def read_views(paths: Sequence[pathlib.Path], preprocessing: Mapping, most: int = 256) -> np.ndarray:
    """Returns image files as evaluation sees them: float32 [count, image_size, image_size, 3] in [0, 1].

    Args:
      most: largest number of files to read. From a longer list, files at even distances are read.

    Raises:
      InputError: a file cannot be decoded.
    """
    view = tf.function(preprocessing_from_config(preprocessing).view, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    chosen = [paths[place] for place in evenly(len(paths), most)]
    views = []
    for path in chosen:
        try:
            views.append(view(path.read_bytes()).numpy())
        except tf.errors.InvalidArgumentError as error:
            raise InputError(f"{shown(path)}: cannot be decoded as an image: {reason(error)}") from error
    return np.clip(np.stack(views), 0.0, 1.0)
