"""Loads and saves weights: TF-slim checkpoints, Keras files and models of keras.applications and of our own, and safetensors.

Every tensor is checked. If a file lacks tensors, has unexpected ones or has some in another shape, one error lists them all and the
network stays unchanged. Only slim's global step, optimizer slots and heads that the network does not have are ignored.
"""

import os
import pathlib
import re
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import check_local, naming, user_path
from nasnet_tf.genotype import genotype_hash, load_genotype
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.description import genotype_of
from nasnet_tf.serving.weights import safetensors_files
from nasnet_tf.serving.weights.files import BACKGROUND, EMA_SUFFIX, WeightsFile, open_weights
from nasnet_tf.serving.weights.names import keras_names, slim_names
from nasnet_tf.training.variables import UNREADABLE

_HEADS = re.compile(r"final_layer/FC/.*|aux_\d+/aux_logits/.*|predictions/.*|(auxiliary_)?logits/.*")
_LISTED = 20  # names of each kind that an error lists


def load_weights(
    model: keras.Model, source: str | os.PathLike | keras.Model | WeightsFile, use_ema: bool = True, heads: bool = True
) -> None:
    """Sets the weights of a network that build_network made.

    Args:
      model: the network, which is changed in place.
      source: one of
        - a TF-slim checkpoint: its prefix (model.ckpt), one of its files, a folder or a .tar.gz that holds one;
        - a weights file (.h5, .weights.h5) or whole model (.h5, .keras) of keras.applications' NASNet, or of ours as Keras saves it;
        - a .safetensors file, as save_weights writes it;
        - a keras.applications model or one of ours, in memory.
      use_ema: whether to take the moving averages of a slim checkpoint that has them; otherwise its plain variables are taken.
      heads: whether to set the classifier and the auxiliary head too. If the network has 1000 classes and slim's classifier 1001, slim's
        first class, the background, is dropped.

    Raises:
      InputError: the file cannot be read, or weights are unexpected, missing or of another shape; the message lists them. The model is
        unchanged then.
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
        drops_background = is_head and len(found) > 0 and (found[-1], expected[-1]) == BACKGROUND and found[:-1] == expected[:-1]
        if found != expected and not drops_background:
            misshapen.append(f"{name} is {list(found)}, expected {list(expected)}")
        elif not missing and not misshapen:
            values[weight.path] = _read(file, name)[..., 1 if drops_background else 0 :]
    known = set(names.values())
    unexpected = [name for name in file.shapes if name not in known and not _HEADS.fullmatch(name)]
    kinds = [("missing", missing), ("of another shape", misshapen), ("unexpected", unexpected)]
    if any(problems for _, problems in kinds):
        listed = "; ".join(f"{len(problems)} {kind}: {_list(problems)}" for kind, problems in kinds if problems)
        raise InputError(f"{file.place}: does not fit this network: {listed}")
    for weight in model.weights:
        if weight.path in values:
            weight.assign(values[weight.path])


def _list(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _read(file: WeightsFile, name: str) -> np.ndarray:
    try:
        return np.asarray(file.read(name))
    except (OSError, *UNREADABLE) as error:
        raise InputError(f"{file.place}: damaged or cut short at {name}: {reason(error)}") from error


def keras_twin(model: keras.Model, num_classes: int | None) -> keras.Model:
    """Returns the model of keras.applications with the sizes of this network and fresh weights.

    Args:
      num_classes: None for a model without classifier.

    Raises:
      InputError: keras.applications cannot build this network.
    """
    keras_names(model)  # raises for the CIFAR stem
    if not _has_published_cells(model):
        raise InputError("keras.applications: expected the cells of NASNet-A, this network has others")
    cells = {layer.name: layer for layer in model.layers if isinstance(layer, Cell)}
    cells_per_stack = sum(name.startswith("cell_") and "stem" not in name for name in cells) // 3
    filters, style = cells["cell_0"].filters, cells["cell_0"].style
    wanted = {"batch_norm_epsilon": 1e-3, "bounded_activation": False}
    for name, value in wanted.items():
        if getattr(style, name) != value:
            raise InputError(f"keras.applications: expected {name} {value}, this network has {getattr(style, name)}")
    if filters % 4:
        raise InputError(f"keras.applications: expected a multiple of 4 filters in the first stack, this network has {filters}")
    try:
        from keras.src.applications.nasnet import NASNet  # noqa: PLC0415  Keras' public functions build two sizes only
    except ImportError:
        raise InputError(
            f"keras {keras.__version__} has no keras.src.applications.nasnet.NASNet, which builds models of keras.applications; "
            "keras 3.15 has it. You can still read files of keras.applications and write TF-slim checkpoints"
        ) from None
    height, width = model.input.shape[1:3]
    # Without skipping, the h_{i-1} of the first cell after a reduction is the input of that reduction.
    skips = cells[f"cell_{cells_per_stack}"].input[1] is not cells["reduction_cell_0"].input[0]
    twin = NASNet(
        # NASNet only accepts sizes of 32 or more; the weights do not depend on the size.
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
    for layer in twin.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = style.batch_norm_momentum  # NASNet always has 0.9997
    return twin


def _has_published_cells(model: keras.Model) -> bool:
    """Returns whether the cells are those of NASNet-A. Other cells may have operations of the same names, wired differently."""
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    has_both = len({cell.is_reduction for cell in cells}) == 2
    return has_both and genotype_hash(genotype_of(model)) == genotype_hash(load_genotype("nasnet_a"))


def to_keras_applications(model: keras.Model) -> keras.Model:
    """Makes a model of keras.applications with the weights of a network.

    Its logits differ from ours by a few percent, because keras.applications pads with zeros before its reduction pools.

    Args:
      model: a NASNet-A with the ImageNet stem.

    Returns:
      A model from images float [batch, height, width, 3] in [-1, 1] to probabilities [batch, num_classes]; to the last feature map
      if the network has no classifier.

    Raises:
      InputError: keras.applications cannot build this network.
    """
    head = next((layer for layer in model.layers if layer.name == "logits"), None)
    twin = keras_twin(model, head.units if head else None)
    names = keras_names(model)
    weights = {names[weight.path]: weight for weight in model.weights if weight.path in names}
    if missing := [name for layer in twin.layers for weight in layer.weights if (name := f"{layer.name}/{weight.name}") not in weights]:
        raise InputError(f"keras.applications: this network lacks {_list(missing)}; expected a whole network")
    for layer in twin.layers:
        for weight in layer.weights:
            weight.assign(weights[f"{layer.name}/{weight.name}"].numpy())
    return twin


def save_weights(model: keras.Model, path: str | os.PathLike, ema_names: bool = False) -> None:
    """Writes the network's weights; replaces existing files.

    Args:
      model: a network of load_nasnet or build_network.
      path: x.weights.h5 for weights, x.h5 or x.keras for a whole model, x.safetensors for weights by our own paths; any other name is the
        prefix of a TF-slim checkpoint. Keras files have the form of keras.applications if that can build this network. Otherwise, for
        example for other cells, they have our own form, which load_weights and load_nasnet read, and a line on standard error says so.
      ema_names: whether a checkpoint also stores each weight under the name of its moving average, which slim's evaluation reads with
        --moving_average_decay.

    Raises:
      InputError: the path means a TF-slim checkpoint, and TF-slim does not have this network.
    """
    check_local(path)
    path = user_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = pathlib.Path(folder) / path.name
        if path.suffix in (".h5", ".keras"):
            written = _as_keras_writes(model, path)
            (written.save_weights if path.name.endswith(".weights.h5") else written.save)(temporary)
        elif path.suffix == safetensors_files.SUFFIX:
            safetensors_files.write(model, temporary)
        else:
            _write_slim(model, temporary, path, ema_names)
        for written in pathlib.Path(folder).iterdir():
            written.replace(path.parent / written.name)


def _as_keras_writes(model: keras.Model, path: pathlib.Path) -> keras.Model:
    """Returns the keras.applications model with these weights; if it has no such network, the network itself, uncompiled."""
    try:
        return to_keras_applications(model)
    except InputError as error:
        print(f"{path}: written in the form of nasnet_tf, because keras.applications does not have this network: {error}", file=sys.stderr)
        return keras.Model(model.input, model.output, name=model.name)


def _write_slim(model: keras.Model, temporary: pathlib.Path, path: pathlib.Path, ema_names: bool) -> None:
    try:
        names = slim_names(model)
    except InputError as error:
        raise InputError(f"{path}: {error}; expected a name that ends with .safetensors, .weights.h5 or .keras") from error
    tensors = {names[weight.path]: weight.value for weight in model.weights}
    if ema_names:
        tensors |= {f"{name}{EMA_SUFFIX}": value for name, value in tensors.items()}
    tensors["global_step"] = tf.constant(0, tf.int64)  # slim's programs expect it
    tf.raw_ops.SaveV2(
        prefix=str(temporary),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.convert_to_tensor(value) for value in tensors.values()],
    )
