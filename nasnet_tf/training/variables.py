"""The variables of a model by name.

TensorFlow's checkpoints find variables by the order of a model's layers. A model that was rebuilt from its description may have another
order, and cells of equal shape would then silently exchange their weights. Names prevent this.
"""

import glob
import math
import os
from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.layers.stochastic import stochastic_layers

UNREADABLE = (tf.errors.OpError, ValueError, IndexError)  # errors that TensorFlow raises for damaged or truncated checkpoints


def open_checkpoint(prefix: str | os.PathLike) -> "tf.train.CheckpointReader":
    """Returns a reader of a checkpoint, after checking the length of its files.

    TensorFlow's own reader does not notice a truncated file if the requested values come before the cut.

    Args:
      prefix: path of the checkpoint without the suffixes of its files.

    Raises:
      InputError: the checkpoint cannot be read, or its files are shorter than its index says.
    """
    try:
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        types = reader.get_variable_to_dtype_map()
        needed = sum(
            math.prod(shape) * types[name].size if types[name] != tf.string else len(b"".join(np.ravel(reader.get_tensor(name)).tolist()))
            for name, shape in reader.get_variable_to_shape_map().items()
        )
    except UNREADABLE as error:
        raise InputError(f"{prefix}: cannot be read as a checkpoint: {reason(error)}") from error
    found = sum(os.path.getsize(path) for path in glob.glob(f"{glob.escape(os.fspath(prefix))}.data-*"))
    if found < needed:
        raise InputError(f"{prefix}: cut short; expected {needed:,} bytes or more in its data files, found {found:,}")
    return reader


def named_weights(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns all weights by path. A path starts with the name of the layer, such as "cell_0/block_1_left/bn_1/gamma"."""
    weights = {weight.path: weight.value for weight in model.weights}
    assert len(weights) == len(model.weights), "two weights have the same path"
    return weights


def load_named_weights(checkpoint: str, model: keras.Model, prefix: str = "weights", without: Collection[str] = ()) -> None:
    """Sets a model's weights from a checkpoint or from a SavedModel's `variables/variables`.

    Args:
      checkpoint: path of the checkpoint without the suffixes of its files.
      model: the model.
      prefix: name of the weights in the checkpoint.
      without: names of layers that keep their weights.

    Raises:
      InputError: the checkpoint cannot be read, or weights are missing or have another shape; the message lists them. The model is then
        unchanged.
    """
    weights = {path: weight for path, weight in named_weights(model).items() if path.split("/")[0] not in without}
    reader = open_checkpoint(checkpoint)
    try:
        shapes = reader.get_variable_to_shape_map()
        keys = {path: f"{prefix}/{path.replace('.', '..').replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE" for path in weights}
        problems = [
            f"{path} is {'missing' if key not in shapes else f'{shapes[key]}, expected {weight.shape.as_list()}'}"
            for (path, weight), key in zip(weights.items(), keys.values(), strict=True)
            if shapes.get(key) != weight.shape.as_list()
        ]
        if problems:
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise InputError(f"{checkpoint}: does not fit this network: {'; '.join(problems[:5])}{more}")
        values = {path: reader.get_tensor(key) for path, key in keys.items()}
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{checkpoint}: cannot be read: {str(error).splitlines()[0]}") from error
    for path, weight in weights.items():
        weight.assign(values[path])


def named_counters(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the counters of the random numbers that drop path and dropout have used, by layer name."""
    return {layer.name: layer.counter for layer in stochastic_layers(model)}
