"""Reads the tensors of Keras' weights files and whole models, by layer and weight; no Keras model is built for this.

Files of our own networks (`model.save`, `model.save_weights`) name each layer, and the names of their tensors are the paths of our weights.
A legacy HDF5 file of ours has each weight's path below its layer's name.

Files of keras.applications come in three kinds. Legacy HDF5 files have a group for each layer. Files of Keras 3, and the file inside a
.keras file, number the layers of each class and the variables of each layer. Newer files of Keras 3 also name each layer. If a file
has no usable names, Keras matches the layers by their order, and so does this module; `keras_layers` returns that order.
"""

import hashlib
import io
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping

import h5py
import keras
import numpy as np

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import check_unpacked_size
from nasnet_tf.serving.weights.names import keras_layers

# The weights files of keras.applications on ImageNet; md5 -> (network of the zoo, with classifier).
# Keras itself finds their layers by order instead of by name, and so do we, because their names come from older code.
PUBLIC_KERAS_FILES = {
    "020fb642bf7360b370c678b08e0adf61": ("mobile", True),
    "1ed92395b5b598bdda52abe5c0dbfd63": ("mobile", False),
    "11577c9a518f0070763c2b964a382f17": ("large", True),
    "d81d89dc07e6e56530c4e77faddd61b5": ("large", False),
}
# The variables of a layer in their order, by Keras' name of its class.
_VARIABLES = {
    "conv2d": ("kernel",),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
}
_NUMBERED = re.compile(rf"(?:layers|_layer_checkpoint_dependencies)/({'|'.join(_VARIABLES)})(?:_(\d+))?/vars/(\d)")
_INSIDE = "model.weights.h5"  # the weights inside a .keras file
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)

Tensors = tuple[Mapping[str, tuple[int, ...]], Callable[[str], np.ndarray]]


def open_tensors(path: pathlib.Path, model: keras.Model) -> Tensors:
    """Opens a .h5, .weights.h5 or .keras file; returns ({"layer/weight": shape}, function from such a name to the value).

    Args:
      model: the network of ours that the file should fit. Layers of a file without names are taken in this network's order.

    Raises:
      InputError: the file is missing, damaged or of another kind.
    """
    file, datasets = _open(path)
    try:
        if "layers/cell" in file:
            named = _ours(file, datasets, model)
        elif "layers" in file or "_layer_checkpoint_dependencies" in file:
            named = _numbered(datasets, model)
        elif "model_weights/cell_0/cell_0" in file:
            named = _ours_legacy(datasets)
        elif _md5(path) in PUBLIC_KERAS_FILES:
            named = _in_legacy_order(file, model)
        else:
            named = _by_legacy_names(datasets)
        shapes = {name: tuple(item.shape) for name, item in named}
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if len(shapes) < len(named):
        twice = next(name for name, _ in named if sum(name == other for other, _ in named) > 1)
        raise InputError(f"{path}: does not fit this network: two of its tensors are called {twice}")
    tensors = dict(named)
    return shapes, lambda name: tensors[name][()]


def raw_shapes(path: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """Returns {path in the file: shape} of a file's tensors, without those of an optimizer. Raises InputError as open_tensors does."""
    return {name: tuple(item.shape) for name, item in _open(path)[1].items() if not name.startswith("optimizer")}


def _unreadable(path: pathlib.Path, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    kind = "a Keras model" if path.suffix == ".keras" else "an HDF5 file"
    return InputError(f"{path}: damaged, cut short, or not {kind}: {reason(error)}")


def _open(path: pathlib.Path) -> tuple[h5py.File, dict[str, h5py.Dataset]]:
    """Returns the HDF5 file, for a .keras file the one inside it, and its tensors by their paths. Raises as open_tensors does."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with path.open("rb") as start:
            is_zip = start.read(2) == b"PK"
        if path.suffix == ".keras" or is_zip:
            with zipfile.ZipFile(path) as archive:
                packed_bytes = archive.getinfo(_INSIDE).file_size
                check_unpacked_size(path, packed_bytes)
                file = h5py.File(io.BytesIO(archive.read(_INSIDE)), "r")
        else:
            packed_bytes = path.stat().st_size
            file = h5py.File(path, "r")
        datasets = {}
        file.visititems(lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        if any(item.external or item.is_virtual for item in datasets.values()):
            raise InputError(f"{path}: refers to data in other files, which is not read; expected a file that holds all its tensors")
        check_unpacked_size(path, sum(item.size * item.dtype.itemsize for item in datasets.values()), packed_bytes)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return file, datasets


def is_ours(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Returns whether the tensors that open_tensors found belong to a network of ours."""
    return any(name.startswith("cell_") for name in shapes)


def _ours(file: h5py.File, datasets: Mapping[str, h5py.Dataset], model: keras.Model) -> list[tuple[str, h5py.Dataset]]:
    """Names the tensors layers/<class>_<number>/<attribute>/.../vars/<number> of our files; each `vars` holds the name of its layer."""
    of_layer: dict[str, list[str]] = {}
    for weight in model.weights:
        of_layer.setdefault(weight.path.rpartition("/")[0], []).append(weight.path)
    named = []
    for path, item in datasets.items():
        if path.startswith("optimizer/"):
            continue
        *parents, _, number = path.split("/")
        groups = [file["/".join(parents[:end])] for end in range(1, len(parents) + 1)]
        layer = "/".join(_text(group["vars"].attrs["name"]) for group in groups if "vars" in group)
        weights = of_layer.get(layer, [])
        named.append((weights[int(number)] if int(number) < len(weights) else f"{layer}/{number}", item))
    return named


def _ours_legacy(datasets: Mapping[str, h5py.Dataset]) -> list[tuple[str, h5py.Dataset]]:
    """Names the tensors model_weights/<layer>/<path of the weight>; the path begins with the layer's name again."""
    return [(path.split("/", 2)[2], item) for path, item in datasets.items() if path.startswith("model_weights/")]


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _numbered(datasets: Mapping[str, h5py.Dataset], model: keras.Model) -> list[tuple[str, h5py.Dataset]]:
    """Names the tensors layers/<class>_<number>/vars/<number>, as Keras 3 writes them."""
    layers = keras_layers(model)
    of_class = {kind: [name for name, weights in layers.items() if set(weights) == set(_VARIABLES[kind])] for kind in _VARIABLES}
    named = []
    for path, item in datasets.items():
        if path.startswith(("optimizer/", "vars/")):  # the optimizer of a whole model
            continue
        match = _NUMBERED.fullmatch(path)
        if not match or int(match[3]) >= len(_VARIABLES[match[1]]):
            named.append((path, item))
            continue
        kind, number = match[1], int(match[2] or 0)
        layer = item.parent.attrs.get("name") or (of_class[kind][number] if number < len(of_class[kind]) else path.split("/")[1])
        named.append((f"{_text(layer)}/{_VARIABLES[kind][int(match[3])]}", item))
    return named


def _in_legacy_order(file: h5py.File, model: keras.Model) -> list[tuple[str, h5py.Dataset]]:
    """Pairs the file's layers that have weights with the network's layers, by order, and gives them the network's names."""
    root = file.get("model_weights", file)
    found = [(layer, weights) for layer in _attribute(root, "layer_names") if (weights := _attribute(root[layer], "weight_names"))]
    expected = list(keras_layers(model))
    named = []
    for index, (layer, weights) in enumerate(found):
        name = expected[index] if index < len(expected) else layer
        named += [(f"{name}/{_last(weight)}", root[layer][weight]) for weight in weights]
    return named


def _by_legacy_names(datasets: Mapping[str, h5py.Dataset]) -> list[tuple[str, h5py.Dataset]]:
    """Names the tensors <layer>/<maybe scopes>/<weight>:0. The first files have "1" for the reduction cell's "right1"."""
    named = []
    for path, item in datasets.items():
        if path.startswith("optimizer_weights/"):
            continue
        layer = path.removeprefix("model_weights/").split("/")[0]
        layer = re.sub(r"_reduction_1_(stem|reduce)_", r"_reduction_right1_\1_", layer)
        named.append((f"{layer}/{_last(path)}", item))
    return named


def _attribute(group: h5py.Group, name: str) -> list[str]:
    """Returns a list of names. Keras splits a list that is too long for one attribute: layer_names0, layer_names1, ..."""
    parts = [name] if name in group.attrs else sorted((key for key in group.attrs if re.fullmatch(rf"{name}\d+", key)), key=_number)
    return [_text(value) for part in parts for value in group.attrs[part]]


def _number(name: str) -> int:
    return int(re.search(r"\d+$", name)[0])


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _last(path: str) -> str:
    return path.split("/")[-1].removesuffix(":0")
