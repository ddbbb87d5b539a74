"""Weights of TF-slim's NASNet checkpoints, by one map of names.

Slim's variables have the same shapes and layouts as ours; only names differ. A checkpoint trained with moving averages holds each
variable a second time as `<name>/ExponentialMovingAverage`, batch-norm statistics included.
"""

import re

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.errors import InputError

_EMA_SUFFIX = "/ExponentialMovingAverage"

# What stands below a cell's name: our path -> slim's. {size} is the kernel size of a separable convolution.
_CELL_RULES = [
    (r"input_0/kernel", r"1x1/weights"),
    (r"input_0/bn/(\w+)", r"beginning_bn/\1"),
    (r"input_1/kernel", r"prev_1x1/weights"),
    (r"input_1/bn/(\w+)", r"prev_bn/\1"),
    (r"block_(\d+)_(\w+)/(depthwise|pointwise)_(\d)_kernel", r"comb_iter_\1/\2/separable_{size}_\4/\3_weights"),
    (r"block_(\d+)_(\w+)/bn_(\d)/(\w+)", r"comb_iter_\1/\2/bn_sep_{size}_\3/\4"),
    (r"block_(\d+)_(\w+)/projection/kernel", r"comb_iter_\1/\2/1x1/weights"),
    (r"block_(\d+)_(\w+)/projection/bn/(\w+)", r"comb_iter_\1/\2/bn_1/\3"),
    (r"output_(\d)/kernel", r"cell_output/reduction_\1/path_conv/weights"),
    (r"output_(\d)/bn/(\w+)", r"cell_output/reduction_\1/path_bn/\2"),
]
# The same where the layer is a factorized reduction.
_FACTORIZED_RULES = [
    (r"input_1/even_kernel", r"path1_conv/weights"),
    (r"input_1/odd_kernel", r"path2_conv/weights"),
    (r"input_1/bn/(\w+)", r"final_path_bn/\1"),
    (r"output_(\d)/even_kernel", r"cell_output/reduction_\1/path1_conv/weights"),
    (r"output_(\d)/odd_kernel", r"cell_output/reduction_\1/path2_conv/weights"),
    (r"output_(\d)/bn/(\w+)", r"cell_output/reduction_\1/final_path_bn/\2"),
]
_HEAD_RULES = [
    (r"stem/conv/kernel", r"{stem_conv}/weights"),
    (r"stem/conv/bn/(\w+)", r"{stem_bn}/\1"),
    (r"logits/kernel", r"final_layer/FC/weights"),
    (r"logits/bias", r"final_layer/FC/biases"),
    (r"auxiliary_logits/projection/kernel", r"{auxiliary}/proj/weights"),
    (r"auxiliary_logits/projection/bn/(\w+)", r"{auxiliary}/aux_bn0/\1"),
    (r"auxiliary_logits/full_map/kernel", r"{auxiliary}/Conv/weights"),
    (r"auxiliary_logits/full_map/bn/(\w+)", r"{auxiliary}/aux_bn1/\1"),
    (r"auxiliary_logits/classifier/kernel", r"{auxiliary}/FC/weights"),
    (r"auxiliary_logits/classifier/bias", r"{auxiliary}/FC/biases"),
]


def slim_names(model: keras.Model) -> dict[str, str]:
    """Slim's name for each weight of a network built by build_network, by our path."""
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    num_normal = sum(re.fullmatch(r"cell_\d+", layer.name) is not None for layer in model.layers)
    is_imagenet = model.get_layer("stem").kind == "imagenet"
    words = {
        "stem_conv": "conv0" if is_imagenet else "l1_stem_3x3",
        "stem_bn": "conv0_bn" if is_imagenet else "l1_stem_bn",
        "auxiliary": f"aux_{num_normal * 2 // 3 - 1}/aux_logits",  # the cell before the second reduction
    }
    return {path: _slim_name(path, shapes, words) for path in shapes}


def _slim_name(path: str, shapes: dict[str, tuple], words: dict[str, str]) -> str:
    cell, _, below = path.partition("/")
    if "cell_" not in cell:
        return _apply(_HEAD_RULES, path, path).format(**words)
    layer = "/".join(path.split("/")[:2])
    is_factorized = f"{layer}/even_kernel" in shapes
    name = _apply(_FACTORIZED_RULES if is_factorized else _CELL_RULES, below, path)
    size = shapes.get(f"{layer}/depthwise_1_kernel", (0,))[0]
    return f"{cell}/{name}".format(size=f"{size}x{size}")


def _apply(rules: list[tuple[str, str]], text: str, path: str) -> str:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, text)
        if match:
            return match.expand(replacement)
    raise InputError(f"weight {path} has no counterpart in TF-slim, which knows NASNet-A's operations only")


def load_slim_checkpoint(model: keras.Model, checkpoint: str, use_ema: bool = True) -> None:
    """Sets every weight of the model from a TF-slim checkpoint (its path without `.index`).

    Args:
      use_ema: take the moving average where the checkpoint holds one; the plain variable otherwise.

    Raises:
      InputError: no such checkpoint, or weights missing or of another shape, all of them listed. The model is unchanged then.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
    except (tf.errors.OpError, ValueError) as error:
        raise InputError(f"{checkpoint}: not a readable TensorFlow checkpoint ({error})") from error
    available = reader.get_variable_to_shape_map()
    names = slim_names(model)
    chosen, problems = {}, []
    for weight in model.weights:
        name = names[weight.path]
        alternatives = [name, name.replace("/FC/", "/fully_connected/")]  # the second upload of the public checkpoints
        if use_ema:
            alternatives = [alternative + _EMA_SUFFIX for alternative in alternatives] + alternatives
        found = next((alternative for alternative in alternatives if alternative in available), None)
        if found is None:
            problems.append(f"{name} is missing")
        elif tuple(available[found]) != tuple(weight.shape):
            problems.append(f"{found} has shape {tuple(available[found])}, expected {tuple(weight.shape)}")
        chosen[weight.path] = found
    if problems:
        raise InputError(f"{checkpoint}: does not fit this network: {'; '.join(problems)}")
    for weight in model.weights:
        weight.assign(np.asarray(reader.get_tensor(chosen[weight.path])))
