"""Opens files of weights: TF-slim checkpoints, plain or in an archive, Keras files and safetensors. Tensors are read on demand."""

import dataclasses
import os
import pathlib
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping

import keras
import numpy as np

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import check_unpacked_size, user_path
from nasnet_tf.models.cell import Cell
from nasnet_tf.serving.weights import keras_files, safetensors_files
from nasnet_tf.serving.weights.names import keras_names, own_names, slim_names
from nasnet_tf.training.variables import open_checkpoint

_ARCHIVES, _KERAS = (".tar.gz", ".tgz", ".tar"), (".h5", ".hdf5", ".keras")
EMA_SUFFIX = "/ExponentialMovingAverage"
BACKGROUND = (1001, 1000)  # (slim's, our) number of ImageNet classes; slim's first class is the background
_CLASSIFIER_BIASES = ("final_layer/FC/biases", "predictions/bias", "logits/bias")
_SLIM_SLOT = re.compile(r"(.+)/(RMSProp|Momentum|Adam)(_\d+)?")


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """The named tensors of a file, which are read on demand.

    Attributes:
      place: name of the file in error messages.
      names: function from a model to {our path of a weight: its name in the file}.
      shapes: shape of each tensor, by its name.
      read: function from a name to the tensor's value.
      num_classes: number of classes of the classifier; None for a file without one.
    """

    place: str
    names: Callable[[keras.Model], dict[str, str]] = dataclasses.field(repr=False)
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(repr=False)
    read: Callable[[str], np.ndarray] = dataclasses.field(repr=False)

    @property
    def num_classes(self) -> int | None:
        bias = next((self.shapes[name] for name in _CLASSIFIER_BIASES if name in self.shapes), None)
        return bias[0] if bias else None

    def has_classifier_for(self, num_classes: int) -> bool:
        """Returns whether the classifier has this number of classes, not counting slim's background."""
        return self.num_classes == num_classes or (self.num_classes, num_classes) == BACKGROUND


def open_weights(source: str | os.PathLike | keras.Model, model: keras.Model, use_ema: bool = True) -> WeightsFile:
    """Opens a source as load_weights takes it, for the network that its weights should fit."""
    if isinstance(source, keras.Model):
        return _live_ours(source) if any(isinstance(layer, Cell) for layer in source.layers) else _live_keras(source)
    path = user_path(source)
    found = find_weights(path)
    if found.suffix == safetensors_files.SUFFIX:
        return WeightsFile(str(path), own_names, *safetensors_files.open_tensors(path))
    if found.suffix in _KERAS:
        shapes, read = keras_files.open_tensors(path, model)
        return WeightsFile(str(path), own_names if keras_files.is_ours(shapes) else keras_names, shapes, read)
    return _of_slim(path, found, use_ema)


def raw_shapes(path: pathlib.Path) -> Mapping[str, tuple[int, ...]]:
    """Returns {name in the file: shape} of a file's tensors, without those of an optimizer. Raises InputError as open_weights does."""
    found = find_weights(path)
    if found.suffix == safetensors_files.SUFFIX:
        return safetensors_files.open_tensors(path)[0]
    return keras_files.raw_shapes(path) if found.suffix in _KERAS else _of_slim(path, found, use_ema=True).shapes


def _of_slim(path: pathlib.Path, found: pathlib.Path, use_ema: bool) -> WeightsFile:
    return _archive(path, use_ema) if found.name.endswith(_ARCHIVES) else _slim_checkpoint(found.with_suffix(""), str(path), use_ema)


def find_weights(path: pathlib.Path) -> pathlib.Path:
    """Returns the file that open_weights would open: an archive, a Keras or safetensors file, or the .index of a checkpoint. Opens nothing.

    Raises:
      InputError: there is no such file, or a folder holds several checkpoints.
    """
    if path.name.endswith((*_ARCHIVES, *_KERAS, safetensors_files.SUFFIX)) and path.is_file():
        return path
    prefixes = sorted(path.glob("*.index")) if path.is_dir() else [path.with_name(f"{path.name}.index"), path.with_suffix(".index")]
    prefixes = [prefix for prefix in prefixes if prefix.is_file()]
    if len(prefixes) > 1 and path.is_dir():
        raise InputError(f"{path}: holds several checkpoints; give one of {', '.join(str(prefix.with_suffix('')) for prefix in prefixes)}")
    if not prefixes:
        came = "is a file of another kind" if path.is_file() else "a folder without weights" if path.is_dir() else "no such file"
        raise InputError(
            f"{path}: {came}; expected a TF-slim checkpoint (model.ckpt with model.ckpt.index beside it, its folder or .tar.gz), "
            "a .safetensors file, or a .h5 or .keras file of Keras"
        )
    return prefixes[0]


def _slim_checkpoint(prefix: pathlib.Path, place: str, use_ema: bool) -> WeightsFile:
    try:
        reader = open_checkpoint(prefix)
    except InputError as error:
        raise InputError(f"{place}: {str(error).removeprefix(f'{prefix}: ')}") from error
    shapes = reader.get_variable_to_shape_map()
    stored = {}  # canonical name -> name in the file
    for name in sorted(shapes, key=lambda name: name.endswith(EMA_SUFFIX) == use_ema):
        is_average = name.endswith(EMA_SUFFIX)
        # The second upload of the public checkpoints calls the classifier's scope fully_connected.
        canonical = name.removesuffix(EMA_SUFFIX).replace("/fully_connected/", "/FC/")
        if is_average and not use_ema and canonical in shapes:
            continue
        if not (is_average and not use_ema):
            stored[canonical] = name
    slots = {name for name in stored if name == "global_step" or ((match := _SLIM_SLOT.fullmatch(name)) and match[1] in stored)}
    stored = {canonical: name for canonical, name in stored.items() if canonical not in slots}
    canonical_shapes = {canonical: tuple(shapes[name]) for canonical, name in stored.items()}
    return WeightsFile(place, slim_names, canonical_shapes, lambda canonical: reader.get_tensor(stored[canonical]))


def _archive(path: pathlib.Path, use_ema: bool) -> WeightsFile:
    """Opens the checkpoint in an archive, which stays unpacked as long as the result lives."""
    folder = tempfile.TemporaryDirectory()
    try:
        unpacked = 0
        with tarfile.open(path) as archive:
            for member in archive:
                unpacked += member.size
                check_unpacked_size(path, unpacked)
                archive.extract(member, folder.name, filter="data")
            while rest := archive.fileobj.read(2**20):  # reads to the end, where the checksum of the unpacked data is
                unpacked += len(rest)
                check_unpacked_size(path, unpacked)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: damaged, cut short, or not an archive: {reason(error)}") from error
    found = sorted(pathlib.Path(folder.name).rglob("*.index"))
    if len(found) != 1:
        raise InputError(f"{path}: expected one checkpoint in the archive, found {len(found)}")
    file = _slim_checkpoint(found[0].with_suffix(""), str(path), use_ema)
    return dataclasses.replace(file, read=lambda name, _folder=folder: file.read(name))


def _live_keras(model: keras.Model) -> WeightsFile:
    weights = {f"{layer.name}/{weight.name}": weight for layer in model.layers for weight in layer.weights}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return WeightsFile(f"Keras model {model.name!r}", keras_names, shapes, lambda name: weights[name].numpy())


def _live_ours(model: keras.Model) -> WeightsFile:
    weights = {weight.path: weight for weight in model.weights}
    shapes = {path: tuple(weight.shape) for path, weight in weights.items()}
    return WeightsFile(f"Keras model {model.name!r}", own_names, shapes, lambda path: weights[path].numpy())
