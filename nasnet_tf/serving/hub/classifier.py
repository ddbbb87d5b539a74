"""Image files to names and probabilities, by any network that load_nasnet or `export` knows."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.data import preprocessing_from_config
from nasnet_tf.serving.exports import export_input, in_memory, saved_model
from nasnet_tf.serving.hub.answers import ImageClassifier
from nasnet_tf.serving.hub.engine_classifier import EngineClassifier, find_classifier
from nasnet_tf.serving.hub.naming import Name, resolve
from nasnet_tf.serving.hub.source import Options
from nasnet_tf.serving.hub.sources import Export, NamedNetwork


@dataclasses.dataclass(frozen=True)
class Classifier(ImageClassifier):
    """Classifies images of any size: JPEG, PNG, GIF (the first frame), BMP or WebP files, or pixels.

    It can be pickled, for other processes; each of them then has a network of its own.

    Attributes:
      class_names: in the order of the probabilities.
      preprocessing: what is done to an image, as data; see nasnet_tf.data for the meaning of each value.
      network: from prepared images to logits; or the folder of an export whose own graph is run.
      several_labels: whether an image has several labels, or none: each class then has a probability of its own.
    """

    class_names: Sequence[str]
    preprocessing: dict
    network: keras.Model | pathlib.Path = dataclasses.field(repr=False)
    several_labels: bool = False

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # without what is traced

    @functools.cached_property
    def _probabilities(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Encoded image files, string [batch] -> probabilities float32 [batch, num_classes]."""
        if isinstance(self.network, pathlib.Path):
            return saved_model.load_encoded_signature(self.network)
        model, preprocessing = self.network, preprocessing_from_config(self.preprocessing)
        size, several_labels = preprocessing.image_size, self.several_labels

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
        def probabilities(encoded):
            images = tf.map_fn(preprocessing.evaluate, encoded, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))
            return export_input.probabilities(model(images, training=False), several_labels)

        return probabilities

    def probabilities(self, encoded: Sequence[bytes]) -> list[np.ndarray | InputError]:
        """Probabilities float32 [num_classes] of each file's content; for one that cannot be decoded, an InputError that says why."""
        if not encoded:
            return []
        try:
            return list(self._probabilities(tf.constant(list(encoded))).numpy())
        except tf.errors.InvalidArgumentError as error:
            if len(encoded) == 1:
                return [InputError(reason(error))]
            return [self.probabilities([content])[0] for content in encoded]  # to find out which one it was

    def encode_pixels(self, pixels: np.ndarray) -> bytes:
        """Pixels, uint8 [height, width, 3], as a PNG file."""
        return tf.io.encode_png(pixels).numpy()


def load_classifier(
    name_or_path: Name,
    weights: str | os.PathLike | None = "trained",
    trust_graph: bool = False,
    class_names: Sequence[str] | None = None,
    engine: str = "tensorflow",
) -> Classifier | EngineClassifier:
    """A classifier by a name, a size, the work folder of a training, an export or a .keras file, or of a network in memory.

    `load_classifier("mobile")("photo.jpg")` is a list of names and probabilities.

    Args:
      weights: as for load_nasnet.
      trust_graph: run the graph that an export brings, which may read and write files, instead of building the network anew from
        its description and its weights.
      class_names: a name for each class, in the order of the logits, instead of those that the source says. A network in memory, a weights
        file with classes of its own, and a .keras file that Keras wrote say none. Of the first and the last the preprocessing is that of
        the paper's networks with their stem, in their image size.
      engine: what runs the network: "tensorflow"; "onnx" or "tflite", the float32 file that an export has of this format; or "auto", the
        fastest of those that an export has and whose packages are installed. Probabilities are equal to 1e-5. "onnx" and "tflite" refuse
        pictures that only TensorFlow decodes, such as GIF files; with "auto" it decodes them.

    Raises:
      InputError: what is no classifier, does not have a class for each name, or has no file for the engine.
    """
    found = find_classifier(name_or_path, engine, weights, trust_graph, class_names)
    if found is not None:
        return found
    source = resolve(name_or_path)
    if class_names is None:
        preprocessing, names = source.classes()
        options = Options()
    else:
        preprocessing, names = source.image_preprocessing(), class_names
        options = Options(num_classes=len(names), may_start_fresh=False) if isinstance(source, NamedNetwork) else Options()
    if isinstance(source, Export) and weights != "trained":
        raise InputError(f"{source.path}: an export has its own weights, got weights {weights!r} besides")
    if trust_graph:
        names = in_memory.check_names(names, len(source.classes()[1]))
        classifier = Classifier(names, preprocessing.config(), source.path.absolute(), source.has_several_labels())
        classifier._probabilities  # noqa: B018  what cannot be loaded is told now
        return classifier
    model = in_memory.classifier_of(source.model(weights, options), str(source.path))
    names = in_memory.check_names(names, in_memory.num_classes(model))
    size, sides = preprocessing.image_size, model.input.shape[1:3]
    if any(side not in (None, size) for side in sides):
        raise InputError(f"{source.path}: data.json says image_size {size}, the network has {sides[0]} x {sides[1]}; damaged or mixed up")
    return Classifier(names, preprocessing.config(), model, source.has_several_labels())
