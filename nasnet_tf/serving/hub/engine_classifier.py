"""A classifier that runs a file of an export in ONNX Runtime or LiteRT. It only needs TensorFlow for pictures that nothing else decodes."""

import dataclasses
import functools
import io
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.extras import is_installed
from nasnet_tf.base.files import read_json, shown, user_path
from nasnet_tf.base.values import expect
from nasnet_tf.data import numpy_decoding, numpy_views
from nasnet_tf.serving.exports import engines, manifest
from nasnet_tf.serving.hub.answers import Image, ImageClassifier

_NAMES = ("mobile", "large", "cifar")  # names of networks; all other names contain "@", like sizes


@dataclasses.dataclass(frozen=True)
class EngineClassifier(ImageClassifier):
    """Classifies images like the export's network in TensorFlow; probabilities agree within 1e-5.

    It can be pickled for other processes; each of them then opens the file.

    Attributes:
      class_names, several_labels: as for ImageClassifier.
      preprocessing: how images are prepared, as in data.json; nasnet_tf.data explains each value.
      file: path of the export's file for this engine.
      engine: a key of nasnet_tf.serving.exports.engines.FILES.
      may_use_tensorflow: whether TensorFlow decodes the pictures that nothing else decodes exactly; if False, they are refused.
    """

    class_names: Sequence[str]
    preprocessing: dict
    file: pathlib.Path
    engine: str
    several_labels: bool = False
    may_use_tensorflow: bool = True

    def __getstate__(self) -> dict:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # an opened file cannot be pickled

    @functools.cached_property
    def run(self) -> engines.Run:
        """The opened file."""
        return engines.open_file(self.file, self.engine)

    def probabilities(self, encoded: Sequence[bytes]) -> list[np.ndarray | InputError]:
        """Returns the probabilities, float32 [num_classes], of each encoded file, or an InputError that says why it cannot be decoded."""
        views = [self._view(content) for content in encoded]
        good = [view for view in views if isinstance(view, np.ndarray)]
        found = self.run(np.stack(good)) if good else np.zeros([0, len(self.class_names)], np.float32)
        if found.shape[1] != len(self.class_names):
            raise InputError(f"{self.file}: expected {len(self.class_names)} classes, one for each name, found {found.shape[1]}")
        answers = iter(found)
        return [next(answers) if isinstance(view, np.ndarray) else view for view in views]

    def explain(self, picture: Image, class_name: str | None = None) -> NoReturn:
        """Raises InputError, because only TensorFlow can compute the gradients that Grad-CAM needs."""
        raise InputError(f"explain: the engine {self.engine!r} has no gradients; expected load_classifier(..., engine='tensorflow')")

    def encode_pixels(self, pixels: np.ndarray) -> bytes:
        """Returns pixels, uint8 [height, width, 3], as a PNG file."""
        file = io.BytesIO()
        numpy_decoding.Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    def _view(self, content: bytes) -> np.ndarray | InputError:
        """Returns an encoded file as float32 [image_size, image_size, 3] in [0, 1], or the error that it has."""
        try:
            return numpy_views.view(numpy_decoding.decode_image(content), self.preprocessing)
        except numpy_decoding.NotExact as error:
            if not self.may_use_tensorflow:
                return InputError(f"{error}, which only TensorFlow decodes exactly; use engine 'auto' instead of {self.engine!r}")
            if not is_installed("tensorflow"):
                return InputError(f"{error}, which only TensorFlow decodes exactly; install tensorflow")
            if str(error) not in self._told:
                self._told.add(str(error))
                print(f"TensorFlow decodes {error}, because nothing else does it exactly", file=sys.stderr, flush=True)
            return self._tensorflow_view(content)

    @functools.cached_property
    def _told(self) -> set[str]:
        return set()

    @functools.cached_property
    def _tensorflow_view(self) -> Callable[[bytes], np.ndarray | InputError]:
        terminal.import_tensorflow()
        import tensorflow as tf  # noqa: PLC0415

        from nasnet_tf.data import preprocessing_from_config  # noqa: PLC0415

        view = preprocessing_from_config(self.preprocessing).view
        traced = tf.function(view, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)

        def run(content: bytes) -> np.ndarray | InputError:
            try:
                return traced(content).numpy()
            except tf.errors.InvalidArgumentError as error:
                return InputError(reason(error))

        return run


def find_classifier(
    name: Any, engine: str, weights: Any = "trained", trust_graph: bool = False, class_names: Sequence[str] | None = None
) -> EngineClassifier | None:
    """Returns the classifier that runs a file of an export, or None if TensorFlow should run the network. Imports no TensorFlow.

    Args:
      name: as for load_classifier.
      engine: one of nasnet_tf.serving.exports.engines.ENGINES. "auto" prints the engine that it chooses for an export to standard error.
      weights, trust_graph, class_names: as for load_classifier. The first two are for TensorFlow only.

    Raises:
      InputError: there is no file for this engine, a package is missing, or the export is damaged.
    """
    expect(engine in engines.ENGINES, "engine", f"one of {', '.join(engines.ENGINES)}", engine)
    folder = _export(name)
    if engine == "tensorflow" or (engine == "auto" and folder is None):
        return None
    is_usual = isinstance(weights, str) and weights == "trained" and not trust_graph
    chosen = engine
    if engine == "auto":
        chosen = engines.fastest(folder) if is_usual else "tensorflow"
        print(f"engine: {chosen}", file=sys.stderr, flush=True)
    if chosen == "tensorflow":
        return None
    if not is_usual:
        raise InputError(f"engine {engine!r}: runs a file of the export as it is; weights and trust_graph need engine 'tensorflow'")
    file = engines.FILES[chosen]
    if folder is None or not (folder / file).is_file():
        called = shown(name) if isinstance(name, (str, os.PathLike)) else f"a {type(name).__name__}"
        raise InputError(f"engine {engine!r}: expected an export with {file}, as --format={engine} writes it, got {called}")
    return _opened(folder, chosen, class_names, may_use_tensorflow=engine == "auto")


def is_network(name: str) -> bool:
    """Returns whether a text is a network's name or size instead of a path. It must agree with nasnet_tf.models.zoo, which needs Keras."""
    return "@" in name or re.sub(r"[\s()_-]", "", name.lower()) in _NAMES


def _export(name: Any) -> pathlib.Path | None:
    """Returns the folder of an export, or None for any other network."""
    if not isinstance(name, (str, os.PathLike)):
        return None
    is_path = not isinstance(name, str) or re.match(r"~|.*[/\\]", name) is not None
    folder = user_path(name)
    return folder if (is_path or not is_network(name)) and (folder / manifest.NAME).is_file() else None


def _opened(folder: pathlib.Path, engine: str, class_names: Sequence[str] | None, may_use_tensorflow: bool) -> EngineClassifier:
    file, path = engines.FILES[engine], folder / "data.json"
    manifest.verify(folder, [path.name, file])
    said = read_json(path)
    names = said.get("class_names") if isinstance(said, dict) else None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise InputError(f"{path}: damaged; expected a list of names as class_names, got {str(names)[:100]}")
    numpy_views.check(said.get("preprocessing"), f"{path}: damaged; preprocessing")
    names = names if class_names is None else list(class_names)
    several = said.get("several_labels") is True
    classifier = EngineClassifier(names, said["preprocessing"], (folder / file).absolute(), engine, several, may_use_tensorflow)
    classifier.run  # noqa: B018  raises now if the file cannot be opened
    return classifier
