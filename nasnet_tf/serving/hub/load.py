"""load_nasnet: a network by name, size or path, with pretrained weights, as a Keras model."""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Sequence

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.values import Share, check_classes, check_image_size, check_value, expect
from nasnet_tf.data import ImageNetPreprocessing
from nasnet_tf.genotype import Genotype
from nasnet_tf.models import heads
from nasnet_tf.models.network import NetworkConfig, build_network, inference_model
from nasnet_tf.models.stems import StemName
from nasnet_tf.models.zoo import canonical_name
from nasnet_tf.serving.exports import keras_archive, manifest, saved_model
from nasnet_tf.serving.hub.naming import Network, find_network, network_preprocessing, unknown_network
from nasnet_tf.serving.hub.variations import _freeze, _last_of_each_stride, _pyramid, calm, rebuilt, with_classifier
from nasnet_tf.serving.weights import public
from nasnet_tf.serving.weights.convert import load_weights
from nasnet_tf.serving.weights.files import find_weights, open_weights
from nasnet_tf.training import checkpoints, work_folder
from nasnet_tf.training.variables import load_named_weights

ImageSize = int | tuple[int | None, int | None]


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
    freeze: bool | str = False,
) -> keras.Model:
    """Loads a network.

    The global dtype policy of Keras is respected: after `keras.config.set_dtype_policy("mixed_bfloat16")` layers compute in bfloat16, and
    weights, pooled features and logits stay float32.

    Args:
      name_or_path: "mobile" (224 pixels, 1000 classes), "large" (331, 1000), "cifar" (32, 10) or another of `list_models`; "N @ P" for a
        size of your own, such as "6 @ 768", which is the paper's network where the paper has one of this size, these cells and this stem;
        or the path of an export or of the work folder of a training, of which the best weights are taken, averaged if the training kept
        averages. Whatever has a separator, begins with "~" or is a PathLike is a path.
      weights: "trained": the public ImageNet weights of "mobile" and "large", downloaded once, or those in the folder ("imagenet" means the
        same); None: fresh ones; or a file for a named network: a TF-slim checkpoint, its folder or .tar.gz, or a .h5 or .keras file of
        keras.applications.
      genotype: for "N @ P": a message, the name of a published one, or the path of a textproto. "nasnet_a" if not given.
      stem: for "N @ P": "cifar" or "imagenet"; if not given, "cifar" for images of up to 64 pixels, "imagenet" for larger ones and for
        any size.
      config: for a name or size: the whole configuration, of that size. If not given, that of the paper's network, or for a size of
        your own that of "cifar" or "mobile", by its stem.
      prev_skips_reduction: for a name or size: see NetworkConfig. If not given, as in the configuration.
      bounded_activation: the same.
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
    _check(genotype, stem, config, include_top, pooling, features_only, endpoints, dropout, drop_path, freeze)
    for name, value in (("prev_skips_reduction", prev_skips_reduction), ("bounded_activation", bounded_activation)):
        expect(value is None or isinstance(value, bool), name, "True, False or None", value)
    num_classes = check_classes(num_classes)
    image_size = None if image_size is None else check_image_size(image_size)
    if (features_only or endpoints) and num_classes is not None:
        raise InputError("num_classes has no meaning with features_only or endpoints")
    if pooling is not None and include_top:
        raise InputError("pooling goes with include_top=False")
    network = find_network(
        name_or_path,
        genotype,
        stem,
        image_size,
        config,
        prev_skips_reduction=prev_skips_reduction,
        bounded_activation=bounded_activation,
        dropout_rate=dropout,
        drop_path_rate=drop_path,
    )
    if network is not None:
        needs_head = include_top and not features_only and not endpoints
        model = _named(os.fspath(name_or_path), network, weights, num_classes, needs_head)
    else:
        of_names = {"genotype": genotype, "stem": stem, "config": config}
        of_names |= {"prev_skips_reduction": prev_skips_reduction, "bounded_activation": bounded_activation}
        said = [option for option, value in of_names.items() if value is not None]
        if said:
            raise InputError(f"{os.fspath(name_or_path)}: a path has its own {' and '.join(said)}; they go with a name or a size")
        model = _trained(name_or_path, weights, num_classes, image_size, dropout, drop_path)
    if features_only or endpoints:
        model = _pyramid(model, endpoints or [endpoint.name for endpoint in _last_of_each_stride(model)])
    elif not include_top:
        pooled = model.get_layer("global_pool")
        features = heads.GlobalPool(pooled.style, pooling, name="features")(pooled.input)
        model = keras.Model(model.input, features, name=model.name)
    if freeze:
        _freeze(model, freeze)
    return model


def _check(genotype, stem, config, include_top, pooling, features_only, endpoints, dropout, drop_path, freeze) -> None:
    """The kinds of load_nasnet's arguments."""
    is_genotype = genotype is None or isinstance(genotype, (Genotype, str, os.PathLike))
    expect(is_genotype, "genotype", "a message, the name of a published one, or the path of a textproto", genotype)
    check_value("stem", stem, StemName | None)
    expect(config is None or isinstance(config, NetworkConfig), "config", "a NetworkConfig", config)
    expect(pooling in (None, "avg", "max"), "pooling", "'avg', 'max' or None", pooling)
    for name, value in (("include_top", include_top), ("features_only", features_only)):
        expect(isinstance(value, bool), name, "True or False", value)
    for name, value in (("dropout", dropout), ("drop_path", drop_path)):
        check_value(name, value, Share | None)
    are_names = isinstance(endpoints, Sequence) and not isinstance(endpoints, str) and all(isinstance(name, str) for name in endpoints)
    expect(endpoints is None or are_names, "endpoints", "a list of names, or None", endpoints)
    expect(isinstance(freeze, (bool, str)), "freeze", "True, False or the name of an endpoint", freeze)


def _check_weights(weights) -> None:
    is_source = weights is None or isinstance(weights, (str, os.PathLike, keras.Model))
    expect(is_source, "weights", "'trained', a file, or None for fresh ones", weights)


def _named(name: str, network: Network, weights, num_classes: int | None, needs_head: bool) -> keras.Model:
    """A network of the zoo or of a size, with the weights asked for."""
    _check_weights(weights)
    if isinstance(weights, str) and weights in ("trained", "imagenet"):
        if network.key not in public.NETWORKS:
            raise InputError(
                f"network {name!r}: no pretrained weights are known for it, only for {', '.join(public.NETWORKS)}; give a weights "
                "file, or ask for fresh weights (weights=None in Python)"
            )
        weights = public.public_weights(network.key, include_top=needs_head and num_classes in (None, network.num_classes))
    classes = (network.num_classes if num_classes is None else num_classes) if needs_head else None
    model = build_network(network.genotype, network.config, classes, network.image_size)
    if weights is None:
        return model
    file = open_weights(weights, model)
    # A number of classes that was asked for and that the file does not have means a fresh classifier.
    is_fresh = needs_head and num_classes is not None and not file.has_classifier_for(num_classes)
    load_weights(model, file, heads=needs_head and not is_fresh)
    if is_fresh:
        calm(model.get_layer("logits"))
    return model


def _trained(name_or_path, weights, num_classes, image_size, dropout, drop_path) -> keras.Model:
    """The network of an export or work folder."""
    _check_weights(weights)
    folder = user_path(name_or_path)
    is_file = folder.is_file() and folder.suffix == ".keras"
    if folder.is_file() and not is_file:
        raise InputError(f"{folder}: is a file; expected the folder of an export or a training (a weights file goes with a network's name)")
    if not folder.is_dir() and not is_file:
        raise unknown_network(name_or_path)
    if weights is not None and not (isinstance(weights, str) and weights == "trained"):
        raise InputError(f"{folder}: weights: expected 'trained' or None with a path, got {weights!r}")
    if is_file:
        model = inference_model(keras_archive.read_network(folder, weights is not None))
    else:
        if (kind := work_folder.task_kind(work_folder.read_data_description(folder))) != "classification":
            raise InputError(f"{folder}: holds a network for {kind}; expected one for classification (load_detector takes detectors)")
        model = inference_model(work_folder.read_description(folder)[0])
        if weights is not None:
            _load_from_folder(model, folder)
    if num_classes is not None or dropout is not None:
        model = with_classifier(model, num_classes, dropout)
    if image_size is not None or drop_path is not None or keras.config.dtype_policy() != model.get_layer("cell_0").dtype_policy:
        model = rebuilt(model, image_size, drop_path)
    return model


def _load_from_folder(model: keras.Model, folder: pathlib.Path, without: Collection[str] = ()) -> None:
    if (folder / manifest.NAME).is_file():
        manifest.verify(folder, saved_model.DESCRIPTIONS)
        if not saved_model.is_export(folder):
            archive = folder / "model.keras"
            if not archive.is_file():
                raise InputError(f"{folder}: is for inference only; load_nasnet takes exports with --format=saved_model or --format=keras")
            manifest.verify(folder, [archive.name])
            load_weights(model, archive, heads=not without)
            return
        manifest.verify(folder, ["saved_model.pb", "variables"])
    if saved_model.is_export(folder):
        load_named_weights(saved_model.weights_checkpoint(folder), model, without=without)
    else:
        checkpoints.load_trained(folder, model, without=without)


def check_features(source: str | os.PathLike) -> None:
    """Raises InputError where there is nothing of the kind that load_features takes; reads and downloads nothing."""
    path = user_path(source)
    if canonical_name(source) not in public.NETWORKS and not _is_trained(path):
        find_weights(path)


def _is_trained(path: pathlib.Path) -> bool:
    """Whether something is an export or the work folder of a training."""
    return saved_model.is_export(path) or (path / "model.json").is_file()


def load_features(model: keras.Model, source: str | os.PathLike) -> None:
    """Sets all weights of a network to fine-tune it from there; its classifier starts fresh and small, its auxiliary head as it is.

    Args:
      source: "mobile" or "large", whose public ImageNet weights are downloaded once; an export; the work folder of a training; or a weights
        file as for load_nasnet.

    Raises:
      InputError: weights that cannot be had or read, or that are of another network; the model is unchanged then.
    """
    expect(isinstance(source, (str, os.PathLike)), "weights to start from", "a name or a path", source)
    path = user_path(source)
    key = canonical_name(source)
    if key in public.NETWORKS:
        load_weights(model, public.public_weights(key, include_top=False), heads=False)
    elif _is_trained(path):
        _load_from_folder(model, path, without=("logits", "auxiliary_logits"))
    else:
        load_weights(model, source, heads=False)
    if any(layer.name == "logits" for layer in model.layers):
        calm(model.get_layer("logits"))


def load_named(name_or_path: str, weights: str = "trained", resize: str | None = None) -> tuple[keras.Model, dict]:
    """A network with what data.json says of it, or would say.

    Args:
      name_or_path: as for load_nasnet.
      weights: as for load_nasnet; "none" for fresh ones.
      resize: of a named ImageNet network, see ImageNetPreprocessing; None for its default.

    Raises:
      InputError: `resize` of what has its own preprocessing, or another one than ImageNet's.
    """
    model = load_nasnet(name_or_path, None if weights == "none" else weights)
    path = user_path(name_or_path)
    if resize is not None and (path.is_dir() or path.is_file()):
        raise InputError(f"--resize: goes with the name of a network; {path} says itself how its images are prepared")
    if path.is_dir():
        return model, work_folder.read_data_description(path)
    if path.is_file():
        return model, keras_archive.read_data_description(path)
    preprocessing, class_names = network_preprocessing(name_or_path)
    if resize is not None:
        if not isinstance(preprocessing, ImageNetPreprocessing):
            raise InputError(f"--resize: is of ImageNet's preprocessing; {name_or_path} has another")
        preprocessing = dataclasses.replace(preprocessing, resize=resize)
    return model, {"task": "classification", "class_names": class_names, "preprocessing": preprocessing.config()}
