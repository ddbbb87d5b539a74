"""Networks that somebody has in memory, such as after a training loop of their own: what they are, and what data.json says of them."""

import json
from collections.abc import Mapping, Sequence

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.data import Preprocessing, preprocessing_from_config
from nasnet_tf.models.description import check_description
from nasnet_tf.models.heads import GlobalPool, Stem
from nasnet_tf.models.network import inference_model
from nasnet_tf.models.stems import STEMS
from nasnet_tf.models.zoo import ZOO

_EXPECTED = "expected a network of load_nasnet or build_network that ends in the logits of its classifier"


def classifier_of(model: keras.Model, place: str = "") -> keras.Model:
    """The network from images to logits, sharing all weights, without auxiliary head and without what belongs to compiling.

    Args:
      place: what to call it in an error; by default by its name in Keras.

    Raises:
      InputError: a model that is no such network, or one with layers that could not be opened again.
    """
    expect(isinstance(model, keras.Model), "network", "a Keras model", model)
    place = place or f"Keras model {model.name!r}"
    if _own(model, GlobalPool) is None or _own(model, Stem) is None:
        raise InputError(f"{place}: {_EXPECTED}")
    model = inference_model(model)
    head = getattr(getattr(model.output, "_keras_history", None), "operation", None)
    if not isinstance(head, keras.layers.Dense):
        raise InputError(f"{place}: {_EXPECTED}, a Dense layer; it ends in {getattr(head, 'name', 'several outputs')!r}")
    if head.activation is not keras.activations.linear:
        name = keras.activations.serialize(head.activation)
        raise InputError(f"{place}: {_EXPECTED}; layer {head.name!r} has the activation {name!r}, leave it out")
    network = keras.Model(model.input, model.output, name=model.name)
    check_description(json.loads(network.to_json()), place)
    return network


def num_classes(network: keras.Model) -> int:
    """The number of classes of what classifier_of returned."""
    return network.output.shape[-1]


def preprocessing_of(model: keras.Model) -> Preprocessing:
    """How images are prepared where nobody says it: as for the row of the zoo with this stem, in the size of the network.

    Raises:
      InputError: images that are not square.
    """
    stem = _own(model, Stem)
    if stem is None:
        raise InputError(f"Keras model {model.name!r}: {_EXPECTED}")
    row, sides = ZOO[STEMS[stem.kind].row], set(model.input.shape[1:3])
    if len(sides) > 1:
        height, width = model.input.shape[1:3]
        raise InputError(f"Keras model {model.name!r}: takes images of {height} x {width} pixels; expected square ones")
    return preprocessing_from_config({"kind": row.preprocessing, "image_size": sides.pop() or row.image_size})


def described(network: keras.Model, said: Mapping) -> dict:
    """What data.json says of a network, from what a person says.

    Args:
      network: as classifier_of returns it.
      said: {"class_names": [...], "preprocessing": {...}}; without "preprocessing" it is that of preprocessing_of.

    Raises:
      InputError: names or a preprocessing that are not of this network.
    """
    expect(isinstance(said, Mapping), "data_description", '{"class_names": [...], "preprocessing": {...}}', said)
    names = check_names(said.get("class_names"), num_classes(network))
    preprocessing = preprocessing_from_config(said["preprocessing"]) if "preprocessing" in said else preprocessing_of(network)
    return {**said, "class_names": names, "preprocessing": preprocessing.config()}


def check_names(names: Sequence[str] | None, classes: int) -> list[str]:
    """Returns the names of classes as a list; raises InputError unless there is one for each class."""
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InputError(f"class_names: expected a list of {classes} names, in the order of the logits, got {names!r}")
    if len(names) != classes:
        raise InputError(f"class_names: expected a name for each of the network's {classes} classes, got {len(names)}")
    return list(names)


def _own(model: keras.Model, kind: type) -> keras.layers.Layer | None:
    """The layer of a class that a network has once."""
    return next((layer for layer in model.layers if isinstance(layer, kind)), None)
