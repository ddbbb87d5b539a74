"""Weights in and out: TF-slim's checkpoints, keras.applications' files and models, exports and work folders of our own.

Every tensor is accounted for: what a file lacks, has too much or has in another shape is one error that lists it, and the network is
unchanged then. Left out knowingly are slim's global step and optimizer slots, and heads that the network does not have.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Callable, Mapping

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras.src.applications.nasnet import NASNet  # Keras' public names are for two sizes only

from nasnet_tf.errors import InputError
from nasnet_tf.models.cell import Cell
from nasnet_tf.serving.weight_names import keras_names, slim_names
from nasnet_tf.training.variables import UNREADABLE

_EMA_SUFFIX = "/ExponentialMovingAverage"
_SLIM_SLOT = re.compile(r"(.+)/(RMSProp|Momentum|Adam)(_\d+)?")
_HEADS = re.compile(r"final_layer/FC/.*|aux_\d+/aux_logits/.*|predictions/.*")
_LISTED = 20  # names of one kind in an error
_BACKGROUND = (1001, 1000)  # slim's ImageNet classes have one more, the background, in front

# The weights files of keras.applications on ImageNet; md5 -> (network of the zoo, with classifier).
# Keras itself finds their layers by order, not by name, and so do we: the names in them are those of an older code.
PUBLIC_KERAS_FILES = {
    "020fb642bf7360b370c678b08e0adf61": ("mobile", True),
    "1ed92395b5b598bdda52abe5c0dbfd63": ("mobile", False),
    "11577c9a518f0070763c2b964a382f17": ("large", True),
    "d81d89dc07e6e56530c4e77faddd61b5": ("large", False),
}


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """The named tensors of a file, none of them read yet.

    Attributes:
      place: what to call the file in an error.
      names: model -> the file's name for each weight, by our path.
      shapes: of each tensor, by its name.
      read: name -> value.
      num_classes: of the classifier; None for a file without.
    """

    place: str
    names: Callable[[keras.Model], dict[str, str]] = dataclasses.field(repr=False)
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(repr=False)
    read: Callable[[str], np.ndarray] = dataclasses.field(repr=False)

    @property
    def num_classes(self) -> int | None:
        bias = self.shapes.get("final_layer/FC/biases") or self.shapes.get("predictions/bias")
        return bias[0] if bias else None

    def has_classifier_for(self, num_classes: int) -> bool:
        """Whether the classifier is one of so many classes, slim's background apart."""
        return self.num_classes == num_classes or (self.num_classes, num_classes) == _BACKGROUND


def load_weights(
    model: keras.Model, source: str | os.PathLike | keras.Model | WeightsFile, use_ema: bool = True, heads: bool = True
) -> None:
    """Sets the weights of a network that build_network made.

    Args:
      source: one of
        - a TF-slim checkpoint: its prefix (model.ckpt), one of its files, a folder or a .tar.gz that holds one;
        - a weights file (.h5, .weights.h5) or whole model (.h5, .keras) of keras.applications' NASNet;
        - such a model itself.
      use_ema: of a slim checkpoint take the moving averages where it holds them; the plain variables otherwise.
      heads: set the classifier (and auxiliary head) too. Of 1001 classes, slim's, a network of 1000 leaves out the background.

    Raises:
      InputError: an unreadable file, or weights unexpected, missing or of another shape, which are listed. The model is unchanged then.
    """
    file = source if isinstance(source, WeightsFile) else open_weights(source, model, use_ema)
    names = file.names(model)
    values, missing, misshapen = {}, [], []
    for weight in model.weights:
        name = names.get(weight.path)
        is_head = name is None or _HEADS.fullmatch(name) is not None
        if is_head and not heads:
            continue
        expected = tuple(weight.shape)
        if name is None or name not in file.shapes:
            missing.append(name or weight.path)
            continue
        found = tuple(file.shapes[name])
        drops_background = is_head and len(found) > 0 and (found[-1], expected[-1]) == _BACKGROUND and found[:-1] == expected[:-1]
        if found != expected and not drops_background:
            misshapen.append(f"{name} is {list(found)}, expected {list(expected)}")
        elif not missing and not misshapen:
            values[weight.path] = _read(file, name)[..., 1 if drops_background else 0 :]
    known = set(names.values())
    unexpected = [name for name in file.shapes if name not in known and not _HEADS.fullmatch(name)]
    kinds = [("missing", missing), ("of another shape", misshapen), ("unexpected", unexpected)]
    if any(problems for _, problems in kinds):
        listed = "; ".join(f"{len(problems)} {kind}: {_list(problems)}" for kind, problems in kinds if problems)
        raise InputError(f"{file.place}: is of another network: {listed}")
    for weight in model.weights:
        if weight.path in values:
            weight.assign(values[weight.path])


def _list(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _read(file: WeightsFile, name: str) -> np.ndarray:
    try:
        return np.asarray(file.read(name))
    except (OSError, *UNREADABLE) as error:
        raise InputError(f"{file.place}: damaged or cut short at {name}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def open_weights(source: str | os.PathLike | keras.Model, model: keras.Model, use_ema: bool = True) -> WeightsFile:
    """Opens what load_weights takes, for a network of these layers."""
    if isinstance(source, keras.Model):
        return _live_keras(source, f"Keras model {source.name!r}")
    path = pathlib.Path(source).expanduser()
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _archive(path, use_ema)
    if path.suffix in (".h5", ".hdf5", ".keras"):
        return _keras_file(path, model)
    prefixes = sorted(path.glob("*.index")) if path.is_dir() else [path.with_name(f"{path.name}.index"), path.with_suffix(".index")]
    prefixes = [prefix for prefix in prefixes if prefix.is_file()]
    if len(prefixes) > 1 and path.is_dir():
        raise InputError(f"{path}: holds several checkpoints; give one of {', '.join(str(prefix.with_suffix('')) for prefix in prefixes)}")
    if not prefixes:
        raise InputError(
            f"{path}: no such weights; expected a TF-slim checkpoint (model.ckpt with model.ckpt.index beside it, its folder or .tar.gz) "
            "or a .h5 or .keras file of keras.applications"
        )
    return _slim_checkpoint(prefixes[0].with_suffix(""), str(path), use_ema)


def _slim_checkpoint(prefix: pathlib.Path, place: str, use_ema: bool) -> WeightsFile:
    try:
        reader = tf.train.load_checkpoint(str(prefix))
    except UNREADABLE as error:
        raise InputError(f"{place}: not a readable TensorFlow checkpoint ({_first_line(error)})") from error
    shapes = reader.get_variable_to_shape_map()
    stored = {}  # canonical name -> name in the file
    for name in sorted(shapes, key=lambda name: name.endswith(_EMA_SUFFIX) == use_ema):
        is_average = name.endswith(_EMA_SUFFIX)
        # The second upload of the public checkpoints calls the classifier's scope fully_connected.
        canonical = name.removesuffix(_EMA_SUFFIX).replace("/fully_connected/", "/FC/")
        if is_average and not use_ema and canonical in shapes:
            continue
        if not (is_average and not use_ema):
            stored[canonical] = name
    slots = {name for name in stored if name == "global_step" or ((match := _SLIM_SLOT.fullmatch(name)) and match[1] in stored)}
    stored = {canonical: name for canonical, name in stored.items() if canonical not in slots}
    canonical_shapes = {canonical: tuple(shapes[name]) for canonical, name in stored.items()}
    return WeightsFile(place, slim_names, canonical_shapes, lambda canonical: reader.get_tensor(stored[canonical]))


def _archive(path: pathlib.Path, use_ema: bool) -> WeightsFile:
    """A checkpoint in an archive, unpacked for as long as the reader lives."""
    folder = tempfile.TemporaryDirectory()
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder.name, filter="data")
            while archive.fileobj.read(2**20):  # to the end, where the checksum of what was unpacked stands
                pass
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: damaged or cut short, or no archive: {_first_line(error)}") from error
    found = sorted(pathlib.Path(folder.name).rglob("*.index"))
    if len(found) != 1:
        raise InputError(f"{path}: expected one checkpoint in the archive, found {len(found)}")
    file = _slim_checkpoint(found[0].with_suffix(""), str(path), use_ema)
    return dataclasses.replace(file, read=lambda name, _folder=folder: file.read(name))


def _keras_file(path: pathlib.Path, model: keras.Model) -> WeightsFile:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".keras":
        try:
            return _live_keras(keras.saving.load_model(path, compile=False), str(path))
        except Exception as error:  # a zip file of anything
            raise InputError(f"{path}: cannot be read as a Keras model: {_first_line(error)}") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: damaged, cut short, or not an HDF5 file: {_first_line(error)}") from error
    if (md5 := _md5(path)) in PUBLIC_KERAS_FILES or "layers" in file or "_layer_checkpoint_dependencies" in file:
        has_classifier = PUBLIC_KERAS_FILES[md5][1] if md5 in PUBLIC_KERAS_FILES else _dense_classes(file) is not None
        file.close()
        return _by_keras(path, model, has_classifier)
    root = file.get("model_weights", file)
    datasets = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            # <layer>/<maybe scopes>/<weight>:0; the first files called the reduction cell's "right1" "1".
            layer = re.sub(r"_reduction_1_(stem|reduce)_", r"_reduction_right1_\1_", name.split("/")[0])
            datasets[f"{layer}/{name.split('/')[-1].removesuffix(':0')}"] = item

    try:
        root.visititems(note)
        shapes = {name: tuple(item.shape) for name, item in datasets.items()}
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: damaged or cut short: {_first_line(error)}") from error
    return WeightsFile(str(path), keras_names, shapes, lambda name: datasets[name][()])


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _dense_classes(file: h5py.File) -> int | None:
    """Classes of the only dense layer of a .weights.h5; None without one."""
    group = file.get("layers/dense/vars/1") or file.get("_layer_checkpoint_dependencies/dense/vars/1")
    return None if group is None else group.shape[0]


def _by_keras(path: pathlib.Path, model: keras.Model, has_classifier: bool) -> WeightsFile:
    """A file without names that mean anything: read by the Keras model that it belongs to."""
    tensors = []
    try:
        with h5py.File(path, "r") as file:
            classes = _dense_classes(file) or 1000
            file.visititems(lambda name, item: tensors.append(name) if isinstance(item, h5py.Dataset) else None)
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: damaged or cut short: {_first_line(error)}") from error
    twin = keras_twin(model, classes if has_classifier else None)
    if len(tensors) != len(twin.weights):  # Keras itself would leave out what is too much
        raise InputError(f"{path}: is of another network: it holds {len(tensors)} tensors, {twin.name} has {len(twin.weights)}")
    try:
        with warnings.catch_warnings(action="ignore"):
            twin.load_weights(path)
    except Exception as error:  # Keras raises ValueError, KeyError, OSError, ... as it finds them
        raise InputError(f"{path}: is of another network than {twin.name}, or damaged: {_first_line(error)}") from error
    return _live_keras(twin, str(path))


def _live_keras(model: keras.Model, place: str) -> WeightsFile:
    weights = {f"{layer.name}/{weight.name}": weight for layer in model.layers for weight in layer.weights}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return WeightsFile(place, keras_names, shapes, lambda name: weights[name].numpy())


def keras_twin(model: keras.Model, num_classes: int | None) -> keras.Model:
    """The model of keras.applications with the sizes of this network and fresh weights.

    Raises:
      InputError: keras.applications cannot build this network.
    """
    keras_names(model)  # no other cells, no CIFAR stem
    cells = {layer.name: layer for layer in model.layers if isinstance(layer, Cell)}
    cells_per_stack = sum(name.startswith("cell_") and "stem" not in name for name in cells) // 3
    filters, style = cells["cell_0"].filters, cells["cell_0"].style
    wanted = {"batch_norm_momentum": 0.9997, "batch_norm_epsilon": 1e-3, "bounded_activation": False}
    for name, value in wanted.items():
        if getattr(style, name) != value:
            raise InputError(f"keras.applications: NASNet has {name} {value} there, this network {getattr(style, name)}")
    if filters % 4:
        raise InputError(f"keras.applications: NASNet needs a multiple of 4 filters in the first stack, this network has {filters}")
    height, width = model.input.shape[1:3]
    # The same tensor: h_{i-1} of the first cell after a reduction is what the reduction itself read.
    skips = cells[f"cell_{cells_per_stack}"].input[1] is not cells["reduction_cell_0"].input[0]
    return NASNet(
        # Only sizes of 32 and more are accepted there; the weights are the same for all.
        input_shape=(height or 224, width or 224, 3) if min(height or 224, width or 224) >= 32 else (224, 224, 3),
        penultimate_filters=24 * filters,
        num_blocks=cells_per_stack,
        stem_block_filters=model.get_layer("stem").filters,
        skip_reduction=skips,
        include_top=num_classes is not None,
        weights=None,
        classes=num_classes or 1000,
        name=f"nasnet_{cells_per_stack}_{24 * filters}",
    )


def to_keras_applications(model: keras.Model) -> keras.Model:
    """The same network as a model of keras.applications: images in [-1, 1] to probabilities, or without classifier to the last map.

    Its logits differ from ours by some percent, because keras.applications pads with zeros before its reduction pools.

    Raises:
      InputError: keras.applications cannot build this network.
    """
    head = next((layer for layer in model.layers if layer.name == "logits"), None)
    twin = keras_twin(model, head.units if head else None)
    names = keras_names(model)
    weights = {names[weight.path]: weight for weight in model.weights if weight.path in names}
    for layer in twin.layers:
        for weight in layer.weights:
            weight.assign(weights[f"{layer.name}/{weight.name}"].numpy())
    return twin


def save_weights(model: keras.Model, path: str | os.PathLike, ema_names: bool = False) -> None:
    """Writes the network's weights for others, over what stands there.

    Args:
      path: x.weights.h5 for `keras_model.load_weights`, x.h5 or x.keras for a whole model of keras.applications; anything else is the
        prefix of a TF-slim checkpoint.
      ema_names: of a checkpoint: write each weight as its moving average too, for slim's evaluation with --moving_average_decay.

    Raises:
      InputError: a network that the format has no names for.
    """
    path = pathlib.Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = pathlib.Path(folder) / path.name
        if path.suffix in (".h5", ".keras"):
            twin = to_keras_applications(model)
            (twin.save_weights if path.name.endswith(".weights.h5") else twin.save)(temporary)
        else:
            names = slim_names(model)
            tensors = {names[weight.path]: weight.value for weight in model.weights}
            if ema_names:
                tensors |= {f"{name}{_EMA_SUFFIX}": value for name, value in tensors.items()}
            tensors["global_step"] = tf.constant(0, tf.int64)  # slim's programs look for it
            tf.raw_ops.SaveV2(
                prefix=str(temporary),
                tensor_names=list(tensors),
                shape_and_slices=[""] * len(tensors),
                tensors=[tf.convert_to_tensor(value) for value in tensors.values()],
            )
        for written in pathlib.Path(folder).iterdir():
            written.replace(path.parent / written.name)
