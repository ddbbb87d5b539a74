"""Loads a classifier from anything that load_nasnet or `export` knows. Imports TensorFlow only if the classifier runs in it."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasnet_tf.serving.hub.engine_classifier import EngineClassifier, find_classifier

if TYPE_CHECKING:
    from nasnet_tf.serving.hub.naming import Name
    from nasnet_tf.serving.hub.network_classifier import Classifier


def load_classifier(
    name_or_path: "Name",
    weights: str | os.PathLike | None = "trained",
    trust_graph: bool = False,
    class_names: Sequence[str] | None = None,
    engine: str = "tensorflow",
) -> "Classifier | EngineClassifier":
    """Loads a classifier: a function from pictures to names and probabilities.

    `load_classifier("mobile")("photo.jpg")` returns a list of names and probabilities.

    Args:
      name_or_path: a name, a size, the work folder of a training, an export or a .keras file, as for load_nasnet; or a network in memory.
      weights: as for load_nasnet.
      trust_graph: whether to run the graph in an export, which may read and write files, instead of building the network anew from its
        description and its weights.
      class_names: a name for each class, in the order of the logits, which replaces the names in the source. You need it for a network in
        memory, a .keras file that Keras wrote, and a weights file with classes of its own, because they hold no names. The first two also
        hold no preprocessing; they get that of the paper's networks with their stem, in their image size.
      engine: "tensorflow"; "onnx" or "tflite", which run the float32 file of this format in an export; or "auto", the fastest engine that
        the export has a file for and whose packages are installed. Probabilities of all engines agree within 1e-5. "onnx" and "tflite"
        refuse pictures that only TensorFlow decodes, such as GIF files; with "auto", TensorFlow decodes them.

    Returns:
      The classifier. With another engine than "tensorflow" it has no `network`.

    Raises:
      InputError: the source is not a classifier, has another number of classes than names, or has no file for the engine.
    """
    found = find_classifier(name_or_path, engine, weights, trust_graph, class_names)
    if found is not None:
        return found
    from nasnet_tf.serving.hub import network_classifier  # noqa: PLC0415  it imports TensorFlow

    return network_classifier.load(name_or_path, weights, trust_graph, class_names)
