"""Finds objects in pictures with a detector that this package trained or exported."""

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import keras
import numpy as np
import tensorflow as tf

import nasnet_tf.detection.model  # noqa: F401  registers the detector's layers with Keras
from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import shown, user_path
from nasnet_tf.base.values import Part, at_least, check_value, expect
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.detection import prepare_picture
from nasnet_tf.serving.hub.answers import Image, listed
from nasnet_tf.serving.hub.naming import Name, resolve
from nasnet_tf.training import work_folder

_TOP = 5  # default number of objects in a picture that `predict` prints


class Found(NamedTuple):
    """An object in a picture: its class, its probability in [0, 1], and its box (ymin, xmin, ymax, xmax) in pixels of the picture."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    category_id: int


@dataclasses.dataclass(frozen=True)
class Detector:
    """Finds objects in pictures of any size.

    Attributes:
      model: the Keras model, from prepared images float32 [batch, height, width, 3] in [-1, 1], of any size, to detections; see
        nasnet_tf.detection.postprocessing.
      class_names, category_ids: name and category id of each class, in the order of the classes.
      image_size: side that pictures are resized to, in pixels.
    """

    model: keras.Model = dataclasses.field(repr=False)
    class_names: Sequence[str]
    category_ids: Sequence[int]
    image_size: int

    def __call__(self, images: Image | Sequence[Image], least_score: float = 0.5) -> list[Found] | list[list[Found]]:
        """Returns the objects in a picture, or in each picture of a list, most probable first.

        Args:
          images: the path of a file, its content, or pixels uint8 [height, width, 3], RGB; or a list of these, or pixels uint8 [batch,
            height, width, 3].
          least_score: smallest probability of an object, in [0, 1].

        Raises:
          InputError: a file is missing or cannot be decoded.
        """
        check_value("least_score", least_score, Part)
        batch, is_one = listed(images, "detector")
        pictures = list(map(_pixels, batch))
        if not pictures:
            return []
        found = self.model(tf.stack([prepare_picture(picture, self.image_size) for picture in pictures]), training=False)
        answers = []
        for row, picture in enumerate(pictures):
            size, count = np.tile(picture.shape[:2], 2), int(found["num_detections"][row])
            columns = [found[f"detection_{name}"][row, :count].numpy() for name in ("boxes", "classes", "scores")]
            answers.append([self._found(*each, size) for each in zip(*columns, strict=True) if each[2] >= least_score])
        return answers[0] if is_one else answers

    def _found(self, box: np.ndarray, label: int, score: float, size: np.ndarray) -> Found:
        return Found(self.class_names[label], float(score), tuple(map(float, box * size)), int(self.category_ids[label]))

    def answers(self, encoded: Sequence[bytes], least_score: float = 0.5) -> list[list[Found] | InputError]:
        """Returns the objects in each encoded file, or an InputError that says why it cannot be decoded."""
        answers: list = list(map(_decoded, encoded))
        pictures = {number: answer for number, answer in enumerate(answers) if not isinstance(answer, InputError)}
        for number, answer in zip(pictures, self(list(pictures.values()), least_score), strict=True):
            answers[number] = answer
        return answers

    def describe(self, answer: list[Found], top: int | None, threshold: float | None = None) -> tuple[str, dict]:
        """Returns the most probable objects as text for people and as JSON-ready fields; see nasnet_tf.training.task.Predictor.

        Raises:
          InputError: a threshold is given. Pass it to `answers` as least_score instead.
        """
        if threshold is not None:
            raise InputError("--threshold: expected a classifier, got a detector; use detect --least_score")
        top = _TOP if top is None else top
        rows = [
            {"class": name, "category_id": number, "probability": round(score, 6), "box": [round(side, 2) for side in box]}
            for name, score, box, number in answer[:top]
        ]
        return ", ".join(f"{row['class']} {row['probability']:.1%} at {_corners(row['box'])}" for row in rows) or "nothing", {"found": rows}

    def explain(self, picture: bytes) -> NoReturn:
        """Raises InputError, because only classifiers can be explained."""
        raise InputError("explain: expected a classifier, got a detector; to draw what it finds, use detect --output=FOLDER")


def load_detector(path: Name, image_size: int | None = None) -> Detector:
    """Loads a detector: a function from pictures to names, probabilities and boxes.

    `load_detector("runs/cells")("photo.jpg")` returns a list of names, probabilities and boxes; `.model` is the Keras model.

    Args:
      path: an export, or the work folder of a training, whose best weights are loaded.
      image_size: side that pictures are resized to, in pixels, 32 or more. None for that of the training.

    Returns:
      The detector.

    Raises:
      InputError: the folder holds no detector or is damaged, the files of an export differ from its manifest, or the path is a name: there
        are no public weights of detectors.
    """
    check_value("image_size", image_size, at_least(32) | None)
    source = resolve(path)
    description = source.description_for("detection", "expected a detector")
    missing = [name for name in ("class_names", "category_ids", "image_size") if name not in description]
    if missing:
        raise InputError(f"{source.path / 'data.json'}: damaged; it lacks {', '.join(missing)}")
    model, _ = work_folder.read_description(source.path)
    classes, known = len(description["class_names"]), model.get_layer("box_head").num_classes
    if classes != known or classes != len(description["category_ids"]):
        raise InputError(f"{source.path}: data.json names {classes} classes, the detector of model.json has {known}; damaged or mixed up")
    source.load_weights(model)
    size = description["image_size"] if image_size is None else int(image_size)
    return Detector(model, description["class_names"], description["category_ids"], size)


def load_detector_on_request(source: Name, weights: str | os.PathLike | None, trust_graph: bool) -> Detector:
    """Returns the detector that `predict` requests. Raises InputError for flags that only classifiers have."""
    if weights != "trained":
        raise InputError(f"{resolve(source).path}: weights: expected 'trained', because a detector has its own weights, got {weights!r}")
    if trust_graph:
        raise InputError("--trust_graph: expected a classifier's export; a detector is built anew from its description")
    return load_detector(source)


def _corners(box) -> str:
    top, left, bottom, right = (round(value) for value in box)
    return f"y {top}..{bottom}, x {left}..{right}"


def _decoded(content: bytes) -> np.ndarray | InputError:
    try:
        return decode_image(content).numpy()
    except tf.errors.OpError as error:
        return InputError(reason(error))


def _pixels(image: Image) -> np.ndarray:
    """Returns an image as pixels, uint8 [height, width, 3]."""
    if isinstance(image, (np.ndarray, tf.Tensor)):
        image = np.asarray(image)
        is_image = image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3 and image.size > 0
        expect(is_image, "detector: image", "uint8 [height, width, 3]", f"{image.dtype} {list(image.shape)}")
        return image
    expect(isinstance(image, (str, os.PathLike, bytes)), "detector: image", "a path, a file's content or pixels", type(image).__name__)
    called = "image" if isinstance(image, bytes) else shown(image)
    try:
        return decode_image(image if isinstance(image, bytes) else user_path(image).read_bytes()).numpy()
    except OSError as error:
        raise InputError(f"{called}: cannot be read ({error.strerror})") from error
    except tf.errors.OpError as error:
        raise InputError(f"{called}: cannot be decoded as an image: {reason(error)}") from error
