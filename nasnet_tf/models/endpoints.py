"""Lists the hidden states of a network by name, and splits a network in two at one of them."""

import dataclasses
from collections.abc import Iterable

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.models import heads
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.stems import STEMS


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A hidden state of a network, for detection or segmentation.

    Attributes:
      name: name of the layer; `model.get_layer(name).output` is the tensor.
      stride: image pixels per pixel of the feature map.
      channels: channels of the feature map.
    """

    name: str
    stride: int
    channels: int


def endpoints_of(model: keras.Model) -> list[Endpoint]:
    """Returns the hidden states of a network from first to last; for a network loaded with features_only, only those that it outputs.

    Args:
      model: a network of load_nasnet or build_network.
    """
    found, stride = [], 1
    for layer in model.layers:
        if isinstance(layer, heads.Stem):
            stride = STEMS[layer.kind].stride
        elif isinstance(layer, Cell):
            stride *= 2 if layer.is_reduction else 1
        else:
            continue
        found.append(Endpoint(layer.name, stride, sum(output.shape[-1] for output in keras.tree.flatten(layer.output))))
    is_pyramid = isinstance(model.output, dict) and set(model.output) <= {endpoint.name for endpoint in found}
    return [endpoint for endpoint in found if not is_pyramid or endpoint.name in model.output]


def before_last_reduction(model: keras.Model) -> Endpoint:
    """Returns the newest state that the last reduction cell reads, where detectors split a network (stride 16 with the ImageNet stem).

    Raises:
      InputError: no reduction cell of the network has a hidden state before it.
    """
    endpoints = endpoints_of(model)
    reductions = [
        number
        for number, endpoint in enumerate(endpoints)
        if number and isinstance(model.get_layer(endpoint.name), Cell) and model.get_layer(endpoint.name).is_reduction
    ]
    if not reductions:
        raise InputError("the network has no reduction cell with a hidden state before it; expected one from build_network or load_nasnet")
    return endpoints[reductions[-1] - 1]


def cut(model: keras.Model, endpoint: str) -> tuple[keras.Model, keras.Model]:
    """Splits a network into two models that share its layers and weights. An auxiliary head is left out.

    rest(trunk(images)) equals the network, bit for bit. Both models accept any height and width, whatever size the network was built for.
    The rest also accepts other states, such as crops. The trunk outputs all states that the rest reads: the two newest for NASNet-A and
    -C, four for NASNet-B.

    Args:
      model: a network with one output, or with logits and auxiliary logits.
      endpoint: name of a hidden state; see `endpoints_of`.

    Returns:
      trunk: model from images float [batch, height, width, 3] to a list of states, the endpoint and older ones that the rest reads, newest
        first, float [batch, height', width', channels] each.
      rest: model from such a list to the network's output.

    Raises:
      InputError: the endpoint does not exist, or the network has several outputs.
    """
    output = model.output.get("logits") if isinstance(model.output, dict) else model.output
    if not isinstance(output, keras.KerasTensor):
        raise InputError(f"cut: expected a network with one output, got the outputs {', '.join(model.output)}")
    known = [each.name for each in endpoints_of(model)]
    if endpoint not in known:
        raise InputError(f"cut: endpoint {endpoint!r}: expected one of {', '.join(known)}")
    layers = [layer for layer in keras.Model(model.input, output).layers if not isinstance(layer, keras.layers.InputLayer)]
    place = 1 + next(number for number, layer in enumerate(layers) if layer.name == endpoint)
    before, after = layers[:place], layers[place:]
    read = {id(tensor) for layer in after for tensor in keras.tree.flatten(layer.input)} | {id(output)}
    states = [tensor for layer in reversed(before) for tensor in keras.tree.flatten(layer.output) if id(tensor) in read]

    images = keras.Input((None, None, model.input.shape[-1]), name="images")
    trunk = _run(before, [model.input], [images])
    inputs = [keras.Input((None, None, state.shape[-1]), name=f"state_{number}") for number, state in enumerate(states)]
    rest = _run(after, states, inputs)
    return (
        keras.Model(images, [trunk[id(state)] for state in states], name="trunk"),
        keras.Model(inputs, rest[id(output)], name="rest"),
    )


def _run(layers: Iterable[keras.layers.Layer], old_inputs, new_inputs) -> dict[int, keras.KerasTensor]:
    """Calls layers again on new inputs; returns {id of an old tensor: the new tensor}."""
    new = {id(old): tensor for old, tensor in zip(old_inputs, new_inputs, strict=True)}
    for layer in layers:
        inputs = [new[id(tensor)] for tensor in layer.input] if isinstance(layer.input, list) else new[id(layer.input)]
        outputs = layer(inputs)
        new |= {id(old): tensor for old, tensor in zip(keras.tree.flatten(layer.output), keras.tree.flatten(outputs), strict=True)}
    return new
