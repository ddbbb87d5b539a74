"""Changes the classifier, image size or regularization of a network and keeps its weights."""

from collections.abc import Sequence

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.normalization import StyledLayer
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models import heads
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.endpoints import Endpoint, endpoints_of


def init_small(classifier: keras.layers.Dense) -> None:
    """Sets small weights for a fresh classifier on trained features.

    Deviation: slim's initial weights are larger for fewer classes. With few classes, the first logits then reach ten, and the first
    gradients spoil the features.
    """
    classifier.kernel.assign(keras.initializers.TruncatedNormal(stddev=0.01)(classifier.kernel.shape))


def layer_of(model: keras.Model, name: str) -> keras.layers.Layer:
    """Returns the layer with a name. Raises InputError if the network has no such layer, because its head is the user's own."""
    layer = next((layer for layer in model.layers if layer.name == name), None)
    if layer is None:
        raise InputError(
            f"network {model.name!r}: has a head of its own and no layer {name!r}; load it without options, and change it with Keras"
        )
    return layer


def with_classifier(model: keras.Model, num_classes: int | None, dropout: float | None) -> keras.Model:
    """Returns the network with this dropout and a classifier of this number of classes: the old one if it has them, else a fresh one."""
    old = layer_of(model, "logits")
    rate = next((layer.rate for layer in model.layers if isinstance(layer, Dropout)), 0.0) if dropout is None else dropout
    features = layer_of(model, "global_pool").output
    if rate:
        features = Dropout(rate, name="dropout")(features)
    classes = num_classes or old.units
    head = heads.classifier(classes, "logits")
    logits = head(features)
    if classes == old.units:
        head.set_weights(old.get_weights())
    else:
        init_small(head)
    return keras.Model(model.input, logits, name=model.name)


def rebuilt(
    model: keras.Model, image_size: tuple[int | None, int | None] | None, drop_path: float | None, batch_norm_momentum: float | None
) -> keras.Model:
    """Returns the network with other options and the same weights."""
    cells = [layer.name for layer in model.layers if isinstance(layer, Cell)]

    def rebuild(layer):
        config = layer.get_config()
        if layer.name != "logits":
            config["dtype"] = keras.config.dtype_policy()
        if drop_path is not None and isinstance(layer, Cell):
            config["drop_path_rate"] = drop_path * (cells.index(layer.name) + 1) / len(cells)
        if batch_norm_momentum is not None and isinstance(layer, StyledLayer):
            config["style"]["batch_norm_momentum"] = batch_norm_momentum
        return type(layer).from_config(config)

    images = keras.Input((*(image_size or model.input.shape[1:3]), 3), name="images")
    new = keras.models.clone_model(model, input_tensors=images, clone_function=rebuild)
    values = {weight.path: weight.numpy() for weight in model.weights}
    for weight in new.weights:
        weight.assign(values[weight.path])
    return new


def last_of_each_stride(model: keras.Model) -> list[Endpoint]:
    """Returns the last endpoint of each size, largest first."""
    return list({endpoint.stride: endpoint for endpoint in endpoints_of(model)}.values())


def _check_endpoint(model: keras.Model, name: str) -> None:
    known = [endpoint.name for endpoint in endpoints_of(model)]
    if name not in known:
        raise InputError(f"endpoint {name!r}: expected one of {', '.join(known)}")


def pyramid(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Returns a network from images to a dict of these endpoints. Raises InputError for an unknown endpoint."""
    for name in names:
        _check_endpoint(model, name)

    def output(name):
        tensor = model.get_layer(name).output  # a list of four in NASNet-B
        return keras.layers.Concatenate(name=f"{name}_output")(tensor) if isinstance(tensor, list) else tensor

    return keras.Model(model.input, {name: output(name) for name in names}, name=model.name)


def freeze_layers(model: keras.Model, freeze: bool | str) -> None:
    """Freezes all layers but the classifier, or the layers up to an endpoint; freeze as for load_nasnet."""
    if isinstance(freeze, str):
        _check_endpoint(model, freeze)
    for layer in model.layers:
        if layer.name != "logits":
            layer.trainable = False
        if layer.name == freeze:
            break
