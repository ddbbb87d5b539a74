"""A classifier that runs a network in TensorFlow."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, did_you_mean, reason
from nasnet_tf.data import Preprocessing, preprocessing_from_config
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.models.grad_cam import grad_cam
from nasnet_tf.serving.exports import export_input, in_memory, manifest, saved_model
from nasnet_tf.serving.hub.answers import Image, ImageClassifier, undecodable
from nasnet_tf.serving.hub.explanation import Explanation, heat_of, overlaid
from nasnet_tf.serving.hub.naming import Name, resolve
from nasnet_tf.serving.hub.source import Options
from nasnet_tf.serving.hub.sources import Export, NamedNetwork

_SHOWN = 10  # names of classes that an error lists


@dataclasses.dataclass(frozen=True)
class Classifier(ImageClassifier):
    """Classifies images of any size: JPEG, PNG, GIF (the first frame), BMP or WebP files, or pixels.

    It can be pickled for other processes; each of them then has its own network.

    Attributes:
      class_names: names of the classes, in the order of the probabilities.
      preprocessing: how images are prepared, as in data.json; nasnet_tf.data explains each value.
      network: from prepared images to logits, or the folder of an export whose own graph runs.
      several_labels: whether an image may have several labels or none; each class then has its own probability.
    """

    class_names: Sequence[str]
    preprocessing: dict
    network: keras.Model | pathlib.Path = dataclasses.field(repr=False)
    several_labels: bool = False

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # traced functions cannot be pickled

    @functools.cached_property
    def _probabilities(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function from encoded image files, string [batch], to probabilities float32 [batch, num_classes]."""
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
        """Returns the probabilities, float32 [num_classes], of each encoded file, or an InputError that says why it cannot be decoded."""
        if not encoded:
            return []
        try:
            return list(self._probabilities(tf.constant(list(encoded))).numpy())
        except tf.errors.InvalidArgumentError as error:
            if len(encoded) == 1:
                return [InputError(reason(error))]
            return [self.probabilities([content])[0] for content in encoded]  # one by one, to find the file that failed

    def encode_pixels(self, pixels: np.ndarray) -> bytes:
        """Returns pixels, uint8 [height, width, 3], as a PNG file."""
        return tf.io.encode_png(pixels).numpy()

    def explain(self, picture: Image, class_name: str | None = None) -> Explanation:
        """Draws the network's evidence for a class over a picture, by Grad-CAM on the last hidden state; see nasnet_tf.models.grad_cam.

        Args:
          picture: as for a call.
          class_name: name, words or WordNet id of a class; None for the most probable class.

        Raises:
          InputError: the class is unknown, the picture cannot be read, the classifier runs the graph of an export, which has no gradients,
            or matplotlib is not installed.
        """
        number = -1 if class_name is None else self._number(class_name)
        content = self._content(picture)
        try:
            pixels = decode_image(content, self._preprocessing.white_level).numpy()
            prepared = self._preprocessing.evaluate(tf.constant(content))  # eagerly: a graph would hold decoders for all kinds of files
        except tf.errors.InvalidArgumentError as error:
            raise undecodable(picture, "picture", reason(error)) from error
        found, number, probability = (part.numpy() for part in self._grad_cam(prepared, tf.constant(number)))
        if not np.isfinite(found).all():
            raise InputError("explain: expected finite answers of the network, got NaN or infinity")
        box = self._preprocessing.seen(*pixels.shape[:2])
        heat = heat_of(found, box, *pixels.shape[:2])
        return Explanation(self._labels[number][1], float(probability), heat, overlaid(pixels, heat, box))

    @functools.cached_property
    def _preprocessing(self) -> Preprocessing:
        return preprocessing_from_config(self.preprocessing)

    @functools.cached_property
    def _grad_cam(self) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Function (prepared image, class int32 [], below 0 for the best) -> (map float32 [height', width'], class, its probability)."""
        if not isinstance(self.network, keras.Model):
            raise InputError(
                f"explain: {self.network} runs as a graph without gradients; expected a classifier from load_classifier without "
                "trust_graph: of an export in the format saved_model or keras, a .keras file, or the work folder of the training"
            )
        maps, size = grad_cam(self.network), self._preprocessing.image_size

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([size, size, 3], tf.float32), tf.TensorSpec([], tf.int32)])
        def explained(image, number):
            found, logits = maps(image[None], number[None])
            number = tf.where(number < 0, tf.argmax(logits[0], output_type=tf.int32), number)
            return found[0], number, export_input.probabilities(logits, self.several_labels)[0, number]

        return explained

    def _number(self, class_name: str) -> int:
        """Returns the index of a class among the logits."""
        labels = zip(self.class_names, self._labels, strict=True)
        places = [number for number, (name, label) in enumerate(labels) if class_name in (name, *filter(None, label))]
        if len(places) == 1:
            return places[0]
        if places:
            ids = " or ".join(filter(None, (self._labels[place][0] for place in places)))
            expected = f"one of them by its WordNet id, {ids}" if ids else "a name that one class has"
            raise InputError(f"class_name: {class_name!r} is the name of {len(places)} classes; expected {expected}")
        known = ", ".join(self.class_names[:_SHOWN]) + (", ..." if len(self.class_names) > _SHOWN else "")
        raise InputError(f"class_name: expected one of {known}, got {class_name!r}{did_you_mean(str(class_name), self.class_names)}")


def load(name_or_path: Name, weights: str | os.PathLike | None, trust_graph: bool, class_names: Sequence[str] | None) -> Classifier:
    """Loads a classifier that runs in TensorFlow; see `nasnet_tf.serving.hub.classifier.load_classifier`."""
    source = resolve(name_or_path)
    if class_names is None:
        preprocessing, names = source.classes()
        options = Options()
    else:
        preprocessing, names = source.image_preprocessing(), class_names
        options = Options(num_classes=len(names), may_start_fresh=False) if isinstance(source, NamedNetwork) else Options()
    if isinstance(source, Export) and weights != "trained":
        raise InputError(f"{source.path}: weights: expected 'trained', because an export has its own weights, got {weights!r}")
    if trust_graph:
        manifest.verify(source.path, [*saved_model.DESCRIPTIONS, "saved_model.pb", "variables"])
        names = in_memory.check_names(names, len(source.classes()[1]))
        classifier = Classifier(names, preprocessing.config(), source.path.absolute(), source.has_several_labels())
        classifier._probabilities  # noqa: B018  raises now if the graph cannot be loaded
        return classifier
    model = in_memory.classifier_of(source.model(weights, options), str(source.path))
    names = in_memory.check_names(names, in_memory.num_classes(model))
    size, sides = preprocessing.image_size, model.input.shape[1:3]
    if any(side not in (None, size) for side in sides):
        raise InputError(f"{source.path}: data.json says image_size {size}, the network has {sides[0]} x {sides[1]}; damaged or mixed up")
    return Classifier(names, preprocessing.config(), model, source.has_several_labels())
