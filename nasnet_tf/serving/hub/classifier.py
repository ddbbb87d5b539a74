"""Image files to names and probabilities, by any network that load_nasnet or `export` knows."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, did_you_mean, reason
from nasnet_tf.base.files import shown, user_path
from nasnet_tf.base.values import Count, Part, check_value, expect
from nasnet_tf.data import Preprocessing, imagenet_classes, preprocessing_from_config
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.models.grad_cam import grad_cam
from nasnet_tf.serving.exports import export_input, in_memory, saved_model
from nasnet_tf.serving.hub.explanation import Explanation, heat_of, overlaid
from nasnet_tf.serving.hub.naming import Name, resolve
from nasnet_tf.serving.hub.source import Options
from nasnet_tf.serving.hub.sources import Export, NamedNetwork

_TOP = 5  # classes of an image with one label
_THRESHOLD = 0.5  # least probability of a label where an image has several
_SHOWN = 10  # names of classes in an error

Image = str | os.PathLike | bytes | np.ndarray


class Prediction(NamedTuple):
    """A class and how probable it is, in [0, 1]. A WordNet id comes as its words, with the id besides; "" for other classes."""

    name: str
    probability: float
    wordnet_id: str = ""


@dataclasses.dataclass(frozen=True)
class Classifier:
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
        model, preprocessing = self.network, self._preprocessing
        size, several_labels = preprocessing.image_size, self.several_labels

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
        def probabilities(encoded):
            images = tf.map_fn(preprocessing.evaluate, encoded, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))
            return export_input.probabilities(model(images, training=False), several_labels)

        return probabilities

    def __call__(
        self, images: Image | Sequence[Image], top: int | None = None, threshold: float | None = None
    ) -> list[Prediction] | list[list[Prediction]]:
        """The most probable classes of an image, or of each of several, most probable first.

        Args:
          images: the path of a file, its content, or pixels uint8 [height, width, 3], RGB; or a list of such.
          top: how many classes at most; None for 5, or for all where an image has several labels.
          threshold: least probability of a class, in [0, 1]; None for 0, or for 0.5 where an image has several labels.

        Raises:
          InputError: a file that is not there, or that cannot be decoded.
        """
        check_value("top", top, Count | None)
        check_value("threshold", threshold, Part | None)
        is_one = isinstance(images, (str, os.PathLike, bytes)) or (isinstance(images, np.ndarray) and images.ndim == 3)
        batch = [images] if is_one else list(images)
        answers = self.probabilities([_content(image) for image in batch])
        for number, (image, answer) in enumerate(zip(batch, answers, strict=True)):
            if isinstance(answer, InputError):
                raise _undecodable(image, f"image {number}", answer)
        results = [self.best(answer, top, threshold) for answer in answers]
        return results[0] if is_one else results

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

    answers = probabilities  # as nasnet_tf.training.task.Predictor asks for them

    def best(self, probabilities: np.ndarray, top: int | None = None, threshold: float | None = None) -> list[Prediction]:
        """The most probable classes, most probable first; `top` and `threshold` as for a call."""
        if threshold is None:
            threshold = _THRESHOLD if self.several_labels else 0.0
        order = np.argsort(-probabilities, kind="stable")[: top or (None if self.several_labels else _TOP)]
        order = order[~(probabilities[order] < threshold)]
        return [Prediction(self._labels[index][1], float(probabilities[index]), self._labels[index][0]) for index in order]

    def describe(self, answer: np.ndarray, top: int | None, threshold: float | None = None) -> tuple[str, dict]:
        """The most probable classes as text for people and as JSON-ready fields; see nasnet_tf.training.task.Predictor."""
        best = self.best(answer, top, threshold)
        rows = [{"class": each.name, "probability": round(each.probability, 6)} | _identity(each) for each in best]
        return ", ".join(f"{each.name} {each.probability:.1%}" for each in best) or "nothing", {"top": rows}

    def explain(self, picture: Image, class_name: str | None = None) -> Explanation:
        """Draws over a picture where the network saw a class, by Grad-CAM on its last hidden state; see nasnet_tf.models.grad_cam.

        Args:
          picture: as for a call.
          class_name: a class by its name, its words or its WordNet id; None for the most probable one.

        Raises:
          InputError: no such class; a picture that cannot be read; a classifier that runs the graph of an export, which has no gradients;
            or matplotlib is not installed.
        """
        number = -1 if class_name is None else self._number(class_name)
        content = _content(picture)
        try:
            pixels = decode_image(content, self._preprocessing.white_level).numpy()
            prepared = self._preprocessing.evaluate(tf.constant(content))  # op by op: a graph would have decoders for all kinds of files
        except tf.errors.InvalidArgumentError as error:
            raise _undecodable(picture, "picture", reason(error)) from error
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
        """A prepared image and a class, int32 [], below 0 for the best -> the map float32 [height', width'], the class, its probability."""
        if not isinstance(self.network, keras.Model):
            raise InputError(
                f"explain: {self.network} runs as a graph without gradients; expected a network of layers: load_classifier of an export in "
                "the format saved_model or keras without trust_graph, of a .keras file, or of the work folder of the training"
            )
        maps, size = grad_cam(self.network), self._preprocessing.image_size

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([size, size, 3], tf.float32), tf.TensorSpec([], tf.int32)])
        def explained(image, number):
            found, logits = maps(image[None], number[None])
            number = tf.where(number < 0, tf.argmax(logits[0], output_type=tf.int32), number)
            return found[0], number, export_input.probabilities(logits, self.several_labels)[0, number]

        return explained

    def _number(self, class_name: str) -> int:
        """The place of a class among the logits."""
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

    @functools.cached_property
    def _labels(self) -> Sequence[tuple[str, str]]:
        """(WordNet id, words) of each class; ("", its name) of one that is no class of ImageNet."""
        if list(self.class_names) == [words for _, words in imagenet_classes()]:
            return imagenet_classes()
        words = dict(imagenet_classes())
        return [(name, words[name]) if name in words else ("", name) for name in self.class_names]


def _identity(prediction: Prediction) -> dict[str, str]:
    return {"wordnet_id": prediction.wordnet_id} if prediction.wordnet_id else {}


def _undecodable(image: Image, called: str, why: object) -> InputError:
    """The error of an image, which is called by its path if it has one."""
    name = shown(image) if isinstance(image, (str, os.PathLike)) else called
    return InputError(f"{name}: cannot be decoded as an image: {why}")


def _content(image: Image) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        is_image = image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3
        expect(is_image, "classifier: image", "uint8 [height, width, 3]", f"{image.dtype} {list(image.shape)}")
        return tf.io.encode_png(image).numpy()
    expect(isinstance(image, (str, os.PathLike)), "classifier: image", "a path, a file's content or pixels", type(image).__name__)
    try:
        return user_path(image).read_bytes()
    except OSError as error:
        raise InputError(f"{shown(image)}: cannot be read ({error.strerror})") from error


def load_classifier(
    name_or_path: Name,
    weights: str | os.PathLike | None = "trained",
    trust_graph: bool = False,
    class_names: Sequence[str] | None = None,
) -> Classifier:
    """A classifier by a name, a size, the work folder of a training, an export or a .keras file, or of a network in memory.

    `load_classifier("mobile")("photo.jpg")` is a list of names and probabilities.

    Args:
      weights: as for load_nasnet.
      trust_graph: run the graph that an export brings, which may read and write files, instead of building the network anew from
        its description and its weights.
      class_names: a name for each class, in the order of the logits, instead of those that the source says. A network in memory, a weights
        file with classes of its own, and a .keras file that Keras wrote say none. Of the first and the last the preprocessing is that of
        the paper's networks with their stem, in their image size.

    Raises:
      InputError: what is no classifier, or does not have a class for each name.
    """
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
