"""Checks networks in memory, such as those from a user's own training loop, and completes their data description."""

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
    """Returns the network from images to logits, uncompiled and without auxiliary head; it shares all weights with the model.

    Args:
      place: name of the model in error messages; by default its name in Keras.

    Raises:
      InputError: the model is no such network, or has layers of classes that load_nasnet refuses to build.
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
        raise InputError(f"{place}: {_EXPECTED}; layer {head.name!r} has the activation {name!r}; leave the activation out")
    network = keras.Model(model.input, model.output, name=model.name)
    check_description(json.loads(network.to_json()), place)
    return network


def num_classes(network: keras.Model) -> int:
    """Returns the number of classes of a network from classifier_of."""
    return network.output.shape[-1]


def preprocessing_of(model: keras.Model) -> Preprocessing:
    """Returns the default preprocessing of a network: that of the zoo's row for its stem, in the network's image size.

    Raises:
      InputError: the model is no network of ours, or its images are not square.
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
    """Returns the content of data.json for a network, from the description that the user gave.

    Args:
      network: as classifier_of returns it.
      said: {"class_names": [...], "preprocessing": {...}}. The default of "preprocessing" is that of preprocessing_of.

    Raises:
      InputError: the names do not fit the network, or the preprocessing is invalid or prepares images of another size.
    """
    expect(isinstance(said, Mapping), "data_description", '{"class_names": [...], "preprocessing": {...}}', said)
    names = check_names(said.get("class_names"), num_classes(network))
    preprocessing = preprocessing_from_config(said["preprocessing"]) if "preprocessing" in said else preprocessing_of(network)
    height, width = network.input.shape[1:3]
    if not {height, width} <= {None, preprocessing.image_size}:
        raise InputError(f"preprocessing: expected the network's image_size, {height} x {width}; got {preprocessing.image_size}")
    return {**said, "class_names": names, "preprocessing": preprocessing.config()}


def check_names(names: Sequence[str] | None, classes: int) -> list[str]:
    """Returns the names of classes as a list; raises InputError unless there is one for each class."""
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InputError(f"class_names: expected a list of {classes} names, in the order of the logits, got {names!r}")
    if len(names) != classes:
        raise InputError(f"class_names: expected a name for each of the network's {classes} classes, got {len(names)}")
    return list(names)


def _own(model: keras.Model, kind: type) -> keras.layers.Layer | None:
    """Returns the first layer of a class, or None if the network has none."""
    return next((layer for layer in model.layers if isinstance(layer, kind)), None)
