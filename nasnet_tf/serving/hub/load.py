"""Loads a network by name, size or path, with pretrained weights, as a Keras model, and sets the weights that a training starts from."""

import dataclasses
import os
from collections.abc import Sequence

import keras
import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Share, check_classes, check_image_size, check_value, expect
from nasnet_tf.genotype import Genotype
from nasnet_tf.models import heads
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.stems import StemName
from nasnet_tf.serving.hub.naming import Name, resolve
from nasnet_tf.serving.hub.relabelling import difference, places_of
from nasnet_tf.serving.hub.source import Options, Source
from nasnet_tf.serving.hub.variations import freeze_layers, init_small, last_of_each_stride, layer_of, pyramid
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.serving.weights.files import open_weights

_HEADS = ("logits", "auxiliary_logits")
_OF_CLASSES = ("logits/kernel", "logits/bias", "auxiliary_logits/classifier/kernel", "auxiliary_logits/classifier/bias")
ImageSize = int | tuple[int | None, int | None]


# It has many parameters, but they are public, named and independent; a call passes the few it needs, as with keras.applications.
def load_nasnet(
    name_or_path: str | os.PathLike,
    weights: str | os.PathLike | None = "trained",
    *,
    genotype: Genotype | str | os.PathLike | None = None,
    stem: str | None = None,
    config: NetworkConfig | None = None,
    prev_skips_reduction: bool | None = None,
    bounded_activation: bool | None = None,
    num_classes: int | None = None,
    image_size: ImageSize | None = None,
    include_top: bool = True,
    pooling: str | None = None,
    features_only: bool = False,
    endpoints: Sequence[str] | None = None,
    dropout: float | None = None,
    drop_path: float | None = None,
    batch_norm_momentum: float | None = None,
    freeze: bool | str = False,
) -> keras.Model:
    """Loads a network.

    The network follows Keras' global dtype policy: after `keras.config.set_dtype_policy("mixed_bfloat16")`, its layers compute in bfloat16,
    while weights, pooled features and logits stay float32.

    Args:
      name_or_path: "mobile" (224 pixels, 1000 classes), "large" (331, 1000), "cifar" (32, 10) or another of `list_models`; "N @ P" for a
        size, such as "6 @ 768", which means the paper's network if there is one of this size with these cells and this stem; or the path of
        an export, a .keras file or a training's work folder, whose best weights are loaded, averaged if the training kept averages.
        A text with a separator or a "~" at its start, and any PathLike, is a path.
      weights: "trained": the public ImageNet weights of "mobile" and "large", downloaded once, or the weights at the path; "imagenet": the
        public weights; None: fresh weights; or, for a name or size, a file: a TF-slim checkpoint, its folder or .tar.gz, a .safetensors
        file, or a .h5 or .keras file of Keras.
      genotype: for "N @ P" only: a message, the name of a published genotype, or the path of a textproto. None for "nasnet_a".
      stem: for "N @ P" only: "cifar" or "imagenet". None for "cifar" with images of up to 64 pixels, else "imagenet".
      config: for a name or size: the whole configuration, which must have that size. None for that of the paper's network, or, for a size
        that the paper does not have, of "cifar" or "mobile", depending on the stem.
      prev_skips_reduction: for a name or size; see NetworkConfig. None for the value of the configuration.
      bounded_activation: for a name or size; see NetworkConfig. None for the value of the configuration.
      num_classes: number of classes. If the weights have a classifier with this number, it is loaded; otherwise a fresh one is built on the
        trained features. With slim's 1001 classes, 1000 drops the background, and 1001 keeps it. None for that of the network.
      image_size: height and width, one number for both, or (None, None) for images of any size. None for that of the network.
      include_top: whether the network has its classifier. Without it, the result is the last feature map after its ReLU, or pooled.
      pooling: with include_top=False: "avg" or "max" over height and width, or None for the map.
      features_only: whether the result is a dict of the last hidden state of each size, by name, largest first: a pyramid for detection
        and segmentation. See `endpoints_of`.
      endpoints: names of hidden states; the result is a dict of them.
      dropout: probability of dropping a pooled feature in training, in [0, 1). None for that of the network.
      drop_path: probability of dropping a path in the last cell in training, in [0, 1). None for that of the network.
      batch_norm_momentum: fraction of the old moving statistics that a training step keeps, in [0, 1). None for that of the network;
        fresh weights of a name or size without `config` get 0.9 instead, which suits a short training.
      freeze: True freezes all layers but the classifier; the name of an endpoint freezes the layers up to it.

    Returns:
      A model from images float32 [batch, height, width, 3] to logits float32 [batch, num_classes], or to features as above. Images are in
      [-1, 1] for ImageNet networks and whitened (tf.image.per_image_standardization) for CIFAR ones; see `preprocess`. For a path, its
      data.json states how images are prepared.

    Raises:
      InputError: a name, option or endpoint is unknown, or weights are not available, cannot be read or do not fit.
    """
    _check(genotype, stem, config, include_top, pooling, features_only, endpoints, freeze)
    for name, value in (("dropout", dropout), ("drop_path", drop_path), ("batch_norm_momentum", batch_norm_momentum)):
        check_value(name, value, Share | None)
    for name, value in (("prev_skips_reduction", prev_skips_reduction), ("bounded_activation", bounded_activation)):
        expect(value is None or isinstance(value, bool), name, "True, False or None", value)
    num_classes = check_classes(num_classes)
    size = None if image_size is None else check_image_size(image_size)
    has_top = include_top and not features_only and not endpoints
    if (features_only or endpoints) and num_classes is not None:
        raise InputError(f"num_classes: expected None with features_only or endpoints, got {num_classes}; leave it out")
    if pooling is not None and include_top:
        raise InputError(f"pooling: expected None with include_top=True, got {pooling!r}; set include_top=False")
    source = resolve(
        name_or_path,
        genotype=genotype,
        stem=stem,
        image_size=size,
        config=config,
        prev_skips_reduction=prev_skips_reduction,
        bounded_activation=bounded_activation,
        dropout_rate=dropout,
        drop_path_rate=drop_path,
        batch_norm_momentum=batch_norm_momentum,
    )
    model = source.model(weights, Options(num_classes, size, dropout, drop_path, has_top, batch_norm_momentum))
    if features_only or endpoints:
        model = pyramid(model, endpoints or [endpoint.name for endpoint in last_of_each_stride(model)])
    elif not include_top:
        pooled = layer_of(model, "global_pool")
        features = heads.GlobalPool(pooled.style, pooling, name="features")(pooled.input)
        model = keras.Model(model.input, features, name=model.name)
    if freeze:
        freeze_layers(model, freeze)
    return model


def _check(genotype, stem, config, include_top, pooling, features_only, endpoints, freeze) -> None:
    """Raises InputError for arguments of load_nasnet with a wrong type."""
    is_genotype = genotype is None or isinstance(genotype, (Genotype, str, os.PathLike))
    expect(is_genotype, "genotype", "a message, the name of a published one, or the path of a textproto", genotype)
    check_value("stem", stem, StemName | None)
    expect(config is None or isinstance(config, NetworkConfig), "config", "a NetworkConfig", config)
    expect(pooling in (None, "avg", "max"), "pooling", "'avg', 'max' or None", pooling)
    for name, value in (("include_top", include_top), ("features_only", features_only)):
        expect(isinstance(value, bool), name, "True or False", value)
    are_names = isinstance(endpoints, Sequence) and not isinstance(endpoints, str) and all(isinstance(name, str) for name in endpoints)
    expect(endpoints is None or are_names, "endpoints", "a list of names, or None", endpoints)
    expect(isinstance(freeze, (bool, str)), "freeze", "True, False or the name of an endpoint", freeze)


def load_features(model: keras.Model, source: Name, class_names: Sequence[str] | None = None) -> str | None:
    """Sets all weights of a network, to fine-tune it.

    If the source has a classifier for classes of the same names, in any order, the network gets that classifier, and the source's auxiliary
    head if it fits. Otherwise the classifier starts from small fresh weights, and the auxiliary head stays as it is.

    Args:
      source: "mobile" or "large", whose public ImageNet weights are downloaded once; an export; the work folder of a training; or a weights
        file as for load_nasnet.
      class_names: names of the network's classes, in the order of its logits. If not given, the classifier starts fresh.

    Returns:
      A line that says whether the classifier is kept; None for a network without one.

    Raises:
      InputError: the weights are not available, cannot be read, or do not fit; the model is unchanged then.
    """
    source = resolve(source)
    head = next((layer for layer in model.layers if layer.name == "logits"), None)
    names = None if head is None else source.own_class_names()
    if class_names is not None and head is not None and len(class_names) != head.units:
        class_names = None  # in this task, the classifier does not have one output for each class
    other = difference(class_names, names)
    if other is None:
        assert class_names is not None
        assert names is not None
        _load_with_heads(model, source, [place for place in places_of(class_names, names) if place is not None])
        order = "" if list(class_names) == names else ", in another order"
        return f"{source.path}: its classifier is kept, because its {len(names)} classes have the same names{order}"
    source.load_features(model)
    if head is None:
        return None
    init_small(head)
    return f"{source.path}: its weights are loaded, and the classifier starts fresh: {other}"


def _load_with_heads(model: keras.Model, source: Source, places: list[int]) -> None:
    """Sets all weights, including those of the heads; places: index of each of the model's classes among the source's."""
    trained = source.trained()
    load_weights(model, dataclasses.replace(open_weights(trained, model), place=str(source.path)), heads=False)
    values = {weight.path: weight.numpy() for weight in trained.weights}
    for layer in (layer for layer in model.layers if layer.name in _HEADS):
        new = [_of_classes(weight.path, values.get(weight.path), places) for weight in layer.weights]
        if all(value is not None and value.shape == tuple(weight.shape) for value, weight in zip(new, layer.weights, strict=True)):
            layer.set_weights(new)


def _of_classes(path: str, value: np.ndarray | None, places: list[int]) -> np.ndarray | None:
    return value[..., places] if value is not None and path in _OF_CLASSES else value


def load_named(name: Name, weights: str = "trained", resize: str | None = None) -> tuple[keras.Model, dict]:
    """Returns a network and the content of its data.json; for a named network, what that file would hold.

    Args:
      name: as for load_nasnet.
      weights: as for load_nasnet; "none" for fresh ones.
      resize: for a named ImageNet network, see ImageNetPreprocessing; None for its default.

    Raises:
      InputError: `resize` is given for a path, or for a network without ImageNet's preprocessing.
    """
    source = resolve(name)
    description = source.description(resize)
    return source.model(None if weights == "none" else weights), description
