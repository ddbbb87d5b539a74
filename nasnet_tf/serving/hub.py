"""load_nasnet: a network by name, size or path, with pretrained weights, as a Keras model."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Collection, Sequence

import keras

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import Genotype
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models import heads
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.endpoints import Endpoint, endpoints_of
from nasnet_tf.models.network import build_network, inference_model
from nasnet_tf.models.zoo import ZOO, canonical_name, find_variant
from nasnet_tf.serving import pretrained, saved_model
from nasnet_tf.serving.convert_weights import load_weights
from nasnet_tf.serving.weight_files import open_weights
from nasnet_tf.training import checkpoints
from nasnet_tf.training.variables import load_named_weights

_SIZE = re.compile(r"\s*(\d+)\s*@\s*(\d+)\s*")  # "6 @ 768"
_CIFAR_STEM_UP_TO = 64  # pixels

ImageSize = int | tuple[int | None, int | None]


def load_nasnet(
    name_or_path: str | os.PathLike,
    weights: str | os.PathLike | None = "trained",
    *,
    genotype: Genotype | str | None = None,
    stem: str | None = None,
    num_classes: int | None = None,
    image_size: ImageSize | None = None,
    include_top: bool = True,
    pooling: str | None = None,
    features_only: bool = False,
    endpoints: Sequence[str] | None = None,
    dropout: float | None = None,
    drop_path: float | None = None,
    freeze: bool | str = False,
) -> keras.Model:
    """Loads a network.

    The global dtype policy of Keras is respected: after `keras.config.set_dtype_policy("mixed_bfloat16")` layers compute in bfloat16, and
    weights, pooled features and logits stay float32.

    Args:
      name_or_path: "mobile" (224 pixels, 1000 classes), "large" (331, 1000), "cifar" (32, 10) or another row of the zoo; "N @ P" for a
        size of your own, such as "6 @ 768", with `genotype`; or the path of an export or of the work folder of a training, of which the
        best weights are taken, averaged if the training kept averages.
      weights: "trained": the public ImageNet weights of "mobile" and "large", downloaded once, or those in the folder ("imagenet" means the
        same); None: fresh ones; or a file for a named network: a TF-slim checkpoint, its folder or .tar.gz, or a .h5 or .keras file of
        keras.applications.
      genotype: for "N @ P": a message, the name of a published one, or the path of a textproto. "nasnet_a" if not given.
      stem: for "N @ P": "cifar" or "imagenet"; if not given, "cifar" for images of up to 64 pixels, "imagenet" for larger ones and for
        any size.
      num_classes: of the classifier. If the weights have a classifier of so many classes it is theirs, else it starts fresh on the old
        features. 1000 takes slim's 1001 without the background; 1001 keeps it. If not given, the classes of the network.
      image_size: height and width, one number for both, or (None, None) for images of any size. If not given, that of the network.
      include_top: with the classifier. Without it the result is the last map after its ReLU, or pooled.
      pooling: without the classifier: "avg" or "max" over height and width, or None for the map.
      features_only: the result is a dict of the last hidden state of each size, by name, largest first: a pyramid for detection and
        segmentation. See `endpoints_of`.
      endpoints: the same with these hidden states, by name.
      dropout: probability of dropping a pooled feature in training, in [0, 1). If not given, that of the network.
      drop_path: probability of dropping a path in the last cell in training, in [0, 1). If not given, that of the network.
      freeze: True: nothing but the classifier can be trained; the name of an endpoint: nothing up to that endpoint.

    Returns:
      A model from images float32 [batch, height, width, 3] to logits float32 [batch, num_classes], or to features as above. Images are in
      [-1, 1] for ImageNet networks, whitened (tf.image.per_image_standardization) for CIFAR ones; see `preprocess`. For a path they are as
      its data.json says.

    Raises:
      InputError: an unknown name, option or endpoint; weights that cannot be had, read or fitted.
    """
    if (features_only or endpoints) and num_classes is not None:
        raise InputError("load_nasnet: num_classes has no meaning with features_only or endpoints")
    if pooling is not None and include_top:
        raise InputError("load_nasnet: pooling goes with include_top=False")
    name = os.fspath(name_or_path)
    needs_head = include_top and not features_only and not endpoints
    if canonical_name(name) or _SIZE.fullmatch(name):
        if canonical_name(name) and (genotype is not None or stem is not None):
            raise InputError(f"load_nasnet({name!r}): genotype and stem go with a size such as '6 @ 768'; {name!r} has its own")
        model = _named(name, weights, genotype, stem, num_classes, image_size, needs_head, dropout, drop_path)
    else:
        if genotype is not None or stem is not None:
            raise InputError(f"load_nasnet({name!r}): genotype and stem go with a size such as '6 @ 768', not with a path")
        model = _trained(name, weights, num_classes, image_size, dropout, drop_path)
    if features_only or endpoints:
        model = _pyramid(model, endpoints or [endpoint.name for endpoint in _last_of_each_stride(model)])
    elif not include_top:
        pooled = model.get_layer("global_pool")
        features = heads.GlobalPool(pooled.style, pooling, name="features")(pooled.input)
        model = keras.Model(model.input, features, name=model.name)
    if freeze:
        _freeze(model, freeze)
    return model


def _named(name, weights, genotype, stem, num_classes, image_size, needs_head, dropout, drop_path) -> keras.Model:
    """A network of the zoo or of a size, with the weights asked for."""
    if canonical_name(name):
        variant = find_variant(name)
        genotype, config, default_size, default_classes = variant.genotype, variant.config, variant.image_size, variant.num_classes
    else:
        genotype = "nasnet_a" if genotype is None else genotype
        cells_per_stack, penultimate_filters = map(int, _SIZE.fullmatch(name).groups())
        if stem is None:
            heights = [image_size] if isinstance(image_size, int) else image_size or [None]
            stem = "cifar" if all(size is not None and size <= _CIFAR_STEM_UP_TO for size in heights) else "imagenet"
        if stem not in ("cifar", "imagenet"):
            raise InputError(f"load_nasnet({name!r}): stem: expected 'cifar' or 'imagenet', got {stem!r}")
        like = ZOO["cifar" if stem == "cifar" else "mobile"]
        config = dataclasses.replace(like.config, cells_per_stack=cells_per_stack, penultimate_filters=penultimate_filters)
        default_size, default_classes = like.image_size, like.num_classes
    if weights in ("trained", "imagenet"):
        key = canonical_name(name)
        if key not in pretrained.NETWORKS:
            raise InputError(
                f"load_nasnet({name!r}): no pretrained weights are known for it, only for {', '.join(pretrained.NETWORKS)}; give "
                "weights='/path/to/a/file', or weights=None for fresh ones"
            )
        weights = pretrained.public_weights(key, include_top=needs_head and num_classes in (None, default_classes))
    options = {"dropout_rate": dropout, "drop_path_rate": drop_path}
    config = dataclasses.replace(config, **{field: rate for field, rate in options.items() if rate is not None})
    classes = (default_classes if num_classes is None else num_classes) if needs_head else None
    model = build_network(genotype, config, classes, default_size if image_size is None else image_size)
    if weights is None:
        return model
    file = open_weights(weights, model)
    # A number of classes that was asked for and that the file does not have means a fresh classifier.
    is_fresh = needs_head and num_classes is not None and not file.has_classifier_for(num_classes)
    load_weights(model, file, heads=needs_head and not is_fresh)
    if is_fresh:
        _calm(model.get_layer("logits"))
    return model


def _calm(classifier: keras.layers.Dense) -> None:
    """Small weights for a fresh classifier on trained features.

    Deviation: slim's initial weights, of which fewer classes get larger ones, make the first logits of few classes as large as ten, and
    the first gradients spoil the features.
    """
    classifier.kernel.assign(keras.initializers.TruncatedNormal(stddev=0.01)(classifier.kernel.shape))


def _trained(name, weights, num_classes, image_size, dropout, drop_path) -> keras.Model:
    """The network of an export or work folder."""
    folder = pathlib.Path(name).expanduser()
    if not folder.is_dir():
        raise InputError(f"load_nasnet({name!r}): no such folder, and not one of the names {', '.join(ZOO)}, nor a size such as '6 @ 768'")
    if weights not in ("trained", None):
        raise InputError(f"load_nasnet({name!r}): weights: expected 'trained' or None with a path, got {os.fspath(weights)!r}")
    model, _ = checkpoints.read_description(folder)
    model = inference_model(model)
    if weights is not None:
        _load_from_folder(model, folder)
    if num_classes is not None or dropout is not None:
        model = _with_classifier(model, num_classes, dropout)
    if image_size is not None or drop_path is not None or keras.config.dtype_policy() != model.get_layer("cell_0").dtype_policy:
        model = _rebuilt(model, image_size, drop_path)
    return model


def _load_from_folder(model: keras.Model, folder: pathlib.Path, without: Collection[str] = ()) -> None:
    if saved_model.is_export(folder):
        load_named_weights(saved_model.weights_checkpoint(folder), model, without=without)
    else:
        checkpoints.load_trained(folder, model, without=without)


def load_features(model: keras.Model, source: str | os.PathLike) -> None:
    """Sets all weights of a network to fine-tune it from there; its classifier starts fresh and small, its auxiliary head as it is.

    Args:
      source: "mobile" or "large", whose public ImageNet weights are downloaded once; an export; the work folder of a training; or a weights
        file as for load_nasnet.

    Raises:
      InputError: weights that cannot be had or read, or that are of another network; the model is unchanged then.
    """
    path = pathlib.Path(source).expanduser()
    key = canonical_name(os.fspath(source))
    if key in pretrained.NETWORKS:
        load_weights(model, pretrained.public_weights(key, include_top=False), heads=False)
    elif saved_model.is_export(path) or (path / "model.json").is_file():
        _load_from_folder(model, path, without=("logits", "auxiliary_logits"))
    else:
        load_weights(model, source, heads=False)
    _calm(model.get_layer("logits"))


def _with_classifier(model: keras.Model, num_classes: int | None, dropout: float | None) -> keras.Model:
    """The network with a classifier of so many classes, the old one if it has them, after so much dropout."""
    old = model.get_layer("logits")
    rate = next((layer.rate for layer in model.layers if isinstance(layer, Dropout)), 0.0) if dropout is None else dropout
    if not 0 <= rate < 1:
        raise InputError(f"load_nasnet: dropout: expected a probability of dropping in [0, 1), got {dropout!r}")
    features = model.get_layer("global_pool").output
    if rate:
        features = Dropout(rate, name="dropout")(features)
    classes = num_classes or old.units
    head = heads.classifier(classes, "logits")
    logits = head(features)
    if classes == old.units:
        head.set_weights(old.get_weights())
    else:
        _calm(head)
    return keras.Model(model.input, logits, name=model.name)


def _rebuilt(model: keras.Model, image_size: ImageSize | None, drop_path: float | None) -> keras.Model:
    """The network with other options, and its weights."""
    if drop_path is not None and not 0 <= drop_path < 1:
        raise InputError(f"load_nasnet: drop_path: expected a probability of dropping in [0, 1), got {drop_path!r}")
    cells = [layer.name for layer in model.layers if isinstance(layer, Cell)]

    def rebuild(layer):
        config = layer.get_config()
        if layer.name != "logits":
            config["dtype"] = keras.config.dtype_policy()
        if drop_path is not None and isinstance(layer, Cell):
            config["drop_path_rate"] = drop_path * (cells.index(layer.name) + 1) / len(cells)
        return type(layer).from_config(config)

    height, width = (
        model.input.shape[1:3] if image_size is None else (image_size, image_size) if isinstance(image_size, int) else image_size
    )
    new = keras.models.clone_model(model, input_tensors=keras.Input((height, width, 3), name="images"), clone_function=rebuild)
    values = {weight.path: weight.numpy() for weight in model.weights}
    for weight in new.weights:
        weight.assign(values[weight.path])
    return new


def _last_of_each_stride(model: keras.Model) -> list[Endpoint]:
    return list({endpoint.stride: endpoint for endpoint in endpoints_of(model)}.values())


def _check_endpoint(model: keras.Model, name: str) -> None:
    known = [endpoint.name for endpoint in endpoints_of(model)]
    if name not in known:
        raise InputError(f"load_nasnet: endpoint {name!r}: expected one of {', '.join(known)}")


def _pyramid(model: keras.Model, names: Sequence[str]) -> keras.Model:
    for name in names:
        _check_endpoint(model, name)

    def output(name):
        tensor = model.get_layer(name).output  # NASNet-B's cells have four
        return keras.layers.Concatenate(name=f"{name}_output")(tensor) if isinstance(tensor, list) else tensor

    return keras.Model(model.input, {name: output(name) for name in names}, name=model.name)


def _freeze(model: keras.Model, freeze: bool | str) -> None:
    if freeze is not True:
        _check_endpoint(model, freeze)
    for layer in model.layers:
        if layer.name != "logits":
            layer.trainable = False
        if layer.name == freeze:
            break
