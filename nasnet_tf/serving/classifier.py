"""Image files to probabilities, by any network that load_nasnet or `export` knows."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.errors import InputError
from nasnet_tf.serving import saved_model
from nasnet_tf.serving.hub import load_nasnet
from nasnet_tf.serving.images import network_preprocessing


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Classifies image files of any size: JPEG, PNG, GIF (the first frame) or BMP.

    Attributes:
      class_names: in the order of the probabilities.
    """

    class_names: Sequence[str]
    _probabilities: Callable[[tf.Tensor], tf.Tensor]

    def __call__(self, encoded: Sequence[bytes]) -> list[np.ndarray | None]:
        """Probabilities float32 [num_classes] of each file's content; None for one that cannot be decoded."""
        try:
            return list(self._probabilities(tf.constant(list(encoded))).numpy())
        except tf.errors.InvalidArgumentError:
            # Which one was it?
            return [None] if len(encoded) == 1 else [self([content])[0] for content in encoded]

    def describe(self, probabilities: np.ndarray, top: int) -> tuple[str, dict]:
        """The most probable classes as text for people and as JSON-ready fields."""
        best = probabilities.argsort()[::-1][:top]
        rows = [{"class": self.class_names[index], "probability": round(float(probabilities[index]), 6)} for index in best]
        return ", ".join(f"{row['class']} {row['probability']:.1%}" for row in rows), {"top": rows}


def load_classifier(
    name_or_path: str | os.PathLike, weights: str | os.PathLike | None = "trained", trust_graph: bool = False
) -> Classifier:
    """A classifier from a name of the zoo, the work folder of a training, or an export; weights as for load_nasnet.

    Args:
      trust_graph: run the graph that an export brings, which may read and write files, instead of building the network anew from
        its description and its weights.
    """
    folder = pathlib.Path(name_or_path).expanduser()
    if saved_model.is_export(folder) and weights != "trained":
        raise InputError(f"{folder}: an export has its own weights, got weights {os.fspath(weights)!r} besides")
    if trust_graph:
        class_names = saved_model.read_data_description(folder)["class_names"]
        return Classifier(class_names, saved_model.load_encoded_signature(folder))
    model = load_nasnet(name_or_path, weights)
    preprocessing, class_names = network_preprocessing(name_or_path)
    size = preprocessing.image_size

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def probabilities(encoded):
        images = tf.map_fn(preprocessing.evaluate, encoded, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))
        return tf.nn.softmax(model(images, training=False))

    return Classifier(class_names, probabilities)
