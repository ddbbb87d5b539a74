"""Turns images into named classes: the part of a classifier around its network. Needs no TensorFlow."""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import shown, user_path
from nasnet_tf.base.values import Count, Part, check_value, expect
from nasnet_tf.data.imagenet_names import imagenet_classes

_TOP = 5  # default number of classes for an image with one label
_THRESHOLD = 0.5  # default threshold of a label's probability if an image may have several

Image = str | os.PathLike | bytes | np.ndarray


class Prediction(NamedTuple):
    """A class with its probability in [0, 1]. For a class with a WordNet id, `name` holds the id's words; other classes have the id ""."""

    name: str
    probability: float
    wordnet_id: str = ""


class ImageClassifier:
    """Classifies images of any size: JPEG, PNG, GIF (the first frame), BMP or WebP files, or pixels. Several threads may call it.

    Attributes:
      class_names: names of the classes, in the order of the probabilities.
      several_labels: whether an image may have several labels or none; each class then has its own probability.
    """

    class_names: Sequence[str]
    several_labels: bool

    def probabilities(self, encoded: Sequence[bytes]) -> list[np.ndarray | InputError]:
        """Returns the probabilities, float32 [num_classes], of each encoded file, or an InputError that says why it cannot be decoded."""
        raise NotImplementedError

    def encode_pixels(self, pixels: np.ndarray) -> bytes:
        """Returns pixels, uint8 [height, width, 3], as a PNG file."""
        raise NotImplementedError

    def answers(self, encoded: Sequence[bytes]) -> list[np.ndarray | InputError]:
        """Returns the same as `probabilities`, under the name that nasnet_tf.training.task.Predictor requires."""
        return self.probabilities(encoded)

    def __call__(
        self, images: Image | Sequence[Image], top: int | None = None, threshold: float | None = None
    ) -> list[Prediction] | list[list[Prediction]]:
        """Returns the most probable classes of an image, or of each image in a list, most probable first.

        Args:
          images: the path of a file, its content, or pixels uint8 [height, width, 3], RGB; or a list of these.
          top: largest number of classes; None for 5, or for all if an image may have several labels.
          threshold: smallest probability of a class, in [0, 1]; None for 0, or for 0.5 if an image may have several labels.

        Raises:
          InputError: a file is missing or cannot be decoded.
        """
        check_value("top", top, Count | None)
        check_value("threshold", threshold, Part | None)
        batch, is_one = listed(images, "classifier")
        answers = self.probabilities([self._content(image) for image in batch])
        for number, (image, answer) in enumerate(zip(batch, answers, strict=True)):
            if isinstance(answer, InputError):
                raise undecodable(image, f"image {number}", answer)
        results = [self.best(answer, top, threshold) for answer in answers]
        return results[0] if is_one else results

    def best(self, probabilities: np.ndarray, top: int | None = None, threshold: float | None = None) -> list[Prediction]:
        """Returns the most probable classes of one image, most probable first.

        Args:
          probabilities: float [num_classes].
          top: as for a call.
          threshold: as for a call.
        """
        if threshold is None:
            threshold = _THRESHOLD if self.several_labels else 0.0
        order = np.argsort(-probabilities, kind="stable")[: top or (None if self.several_labels else _TOP)]
        order = order[~(probabilities[order] < threshold)]
        return [Prediction(self._labels[index][1], float(probabilities[index]), self._labels[index][0]) for index in order]

    def describe(self, answer: np.ndarray, top: int | None, threshold: float | None = None) -> tuple[str, dict]:
        """Returns the most probable classes as text for people and as JSON-ready fields; see nasnet_tf.training.task.Predictor."""
        best = self.best(answer, top, threshold)
        rows = [{"class": each.name, "probability": round(each.probability, 6)} | _identity(each) for each in best]
        return ", ".join(f"{each.name} {each.probability:.1%}" for each in best) or "nothing", {"top": rows}

    @functools.cached_property
    def _labels(self) -> Sequence[tuple[str, str]]:
        """(WordNet id, words) of each class, or ("", name) of a class that ImageNet does not have."""
        if list(self.class_names) == [words for _, words in imagenet_classes()]:
            return imagenet_classes()
        words = dict(imagenet_classes())
        return [(name, words[name]) if name in words else ("", name) for name in self.class_names]

    def _content(self, image: Image) -> bytes:
        if isinstance(image, bytes):
            return image
        if isinstance(image, np.ndarray):
            is_image = image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3 and image.size > 0
            expect(is_image, "classifier: image", "uint8 [height, width, 3]", f"{image.dtype} {list(image.shape)}")
            return self.encode_pixels(image)
        expect(isinstance(image, (str, os.PathLike)), "classifier: image", "a path, a file's content or pixels", type(image).__name__)
        try:
            return user_path(image).read_bytes()
        except OSError as error:
            raise InputError(f"{shown(image)}: cannot be read ({error.strerror})") from error


def listed(images: Image | Sequence[Image], called: str) -> tuple[list, bool]:
    """Returns images as a list, and whether there is a single one that is not in a list.

    Args:
      images: as for a call of ImageClassifier.
      called: what takes the images, for the message.

    Raises:
      InputError: images is neither an image nor a list.
    """
    is_one = isinstance(images, (str, os.PathLike, bytes)) or (isinstance(images, np.ndarray) and images.ndim == 3)
    expected = "a path, a file's content, pixels, or a list of these"
    expect(is_one or isinstance(images, Iterable), f"{called}: images", expected, type(images).__name__)
    return [images] if is_one else list(images), is_one


def undecodable(image: Image, called: str, why: object) -> InputError:
    """Returns the error for an image that cannot be decoded; it names the image by its path, or as `called` if it has none."""
    name = shown(image) if isinstance(image, (str, os.PathLike)) else called
    return InputError(f"{name}: cannot be decoded as an image: {why}")


def _identity(prediction: Prediction) -> dict[str, str]:
    return {"wordnet_id": prediction.wordnet_id} if prediction.wordnet_id else {}
