"""Maps the names of our weights to those of TF-slim and of keras.applications.

All three hold the same tensors in the same layouts; only the names differ. Each row of the tables below is one kind of weight of a cell
or head: our path, slim's variable, and Keras' layer with its weight.
"""

import re
from collections.abc import Mapping

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.stems import STEMS

# {size}: kernel size of the separable convolution, "5x5"; {prev_bn}, {output_bn}: see _words.
# {kind}: "normal" or "reduction"; {id}: Keras' name of the cell; {place}: Keras' name of the operation, "left1".
_CELL_RULES = [
    (r"input_0/kernel", r"1x1/weights", r"{kind}_conv_1_{id}/kernel"),
    (r"input_0/bn/(\w+)", r"beginning_bn/\1", r"{kind}_bn_1_{id}/\1"),
    (r"input_1/kernel", r"prev_1x1/weights", r"adjust_conv_projection_{id}/kernel"),
    (r"input_1/even_kernel", r"path1_conv/weights", r"adjust_conv_1_{id}/kernel"),
    (r"input_1/odd_kernel", r"path2_conv/weights", r"adjust_conv_2_{id}/kernel"),
    (r"input_1/bn/(\w+)", r"{prev_bn}/\1", r"adjust_bn_{id}/\1"),
    (
        r"block_(\d+)_(\w+)/(depthwise|pointwise)_(\d)_kernel",
        r"comb_iter_\1/\2/separable_{size}_\4/\3_weights",
        r"separable_conv_\4_{kind}_{place}_{id}/\3_kernel",
    ),
    (r"block_(\d+)_(\w+)/bn_(\d)/(\w+)", r"comb_iter_\1/\2/bn_sep_{size}_\3/\4", r"separable_conv_\3_bn_{kind}_{place}_{id}/\4"),
    # Only the first cell after a CIFAR stem has the remaining weights; keras.applications does not have this stem.
    (r"block_(\d+)_(\w+)/projection/kernel", r"comb_iter_\1/\2/1x1/weights", None),
    (r"block_(\d+)_(\w+)/projection/bn/(\w+)", r"comb_iter_\1/\2/bn_1/\3", None),
    (r"output_(\d)/kernel", r"cell_output/reduction_\1/path_conv/weights", None),
    (r"output_(\d)/even_kernel", r"cell_output/reduction_\1/path1_conv/weights", None),
    (r"output_(\d)/odd_kernel", r"cell_output/reduction_\1/path2_conv/weights", None),
    (r"output_(\d)/bn/(\w+)", r"cell_output/reduction_\1/{output_bn}/\2", None),
]
_HEAD_RULES = [
    (r"stem/conv/kernel", r"{stem_conv}/weights", r"stem_conv1/kernel"),
    (r"stem/conv/bn/(\w+)", r"{stem_bn}/\1", r"stem_bn1/\1"),
    (r"logits/kernel", r"final_layer/FC/weights", r"predictions/kernel"),
    (r"logits/bias", r"final_layer/FC/biases", r"predictions/bias"),
    (r"auxiliary_logits/projection/kernel", r"{auxiliary}/proj/weights", None),
    (r"auxiliary_logits/projection/bn/(\w+)", r"{auxiliary}/aux_bn0/\1", None),
    (r"auxiliary_logits/full_map/kernel", r"{auxiliary}/Conv/weights", None),
    (r"auxiliary_logits/full_map/bn/(\w+)", r"{auxiliary}/aux_bn1/\1", None),
    (r"auxiliary_logits/classifier/kernel", r"{auxiliary}/FC/weights", None),
    (r"auxiliary_logits/classifier/bias", r"{auxiliary}/FC/biases", None),
]
_FORMATS = ("TF-slim", "keras.applications")
# The layers of a cell that have weights, in the order of `model.layers`: by depth, counted from the output. Keras writes and reads files
# without names in this order. "s" is a separable convolution, "b" the batch normalization after it. Layers that a cell lacks are skipped.
_KERAS_ORDER = {
    "normal": """adjust_conv_1 adjust_conv_2 adjust_conv_projection normal_conv_1 adjust_bn normal_bn_1
        s1_left1 s1_right1 s1_left2 s1_right2 s1_left5 b1_left1 b1_right1 b1_left2 b1_right2 b1_left5
        s2_left1 s2_right1 s2_left2 s2_right2 s2_left5 b2_left1 b2_right1 b2_left2 b2_right2 b2_left5""",
    "reduction": """adjust_conv_1 adjust_conv_2 reduction_conv_1 adjust_conv_projection reduction_bn_1 adjust_bn
        s1_left1 s1_right1 b1_left1 b1_right1 s2_left1 s2_right1 b2_left1 b2_right1
        s1_right2 b1_right2 s1_right3 s1_left4 b1_right3 b1_left4 s2_right2 b2_right2 s2_right3 s2_left4 b2_right3 b2_left4""",
}


def slim_names(model: keras.Model) -> dict[str, str]:
    """Returns {our path of a weight: its name in TF-slim} for a network from build_network.

    Raises:
      InputError: TF-slim has no name for a weight; it knows the operations of NASNet-A only.
    """
    return _names(model, "TF-slim")


def own_names(model: keras.Model) -> dict[str, str]:
    """Returns {our path of a weight: its name in a file of our own}; the two are equal."""
    return {weight.path: weight.path for weight in model.weights}


def keras_names(model: keras.Model) -> dict[str, str]:
    """Returns {our path of a weight: "layer/weight" in keras.applications}, without the auxiliary head.

    Raises:
      InputError: keras.applications has no name for a weight; it knows NASNet-A with the ImageNet stem only.
    """
    return _names(model, "keras.applications")


def keras_layers(model: keras.Model) -> dict[str, list[str]]:
    """Returns {layer: its weights} of the keras.applications model of this network, with classifier, in the order of its layers.

    Raises:
      InputError: as keras_names does.
    """
    weights = {}
    for name in keras_names(model).values():
        layer, weight = name.split("/")
        weights.setdefault(layer, []).append(weight)
    order = ["stem_conv1", "stem_bn1"]
    num_normal = sum(re.fullmatch(r"cell_\d+", layer.name) is not None for layer in model.layers)
    for cell in (layer.name for layer in model.layers if "cell_" in layer.name):
        kind, cell_id = _kind_and_id(cell, num_normal // 3)
        written_out = re.sub(r"\bs(\d)", rf"separable_conv_\1_{kind}", _KERAS_ORDER[kind])
        written_out = re.sub(r"\bb(\d)", rf"separable_conv_\1_bn_{kind}", written_out)
        order += [f"{layer}_{cell_id}" for layer in written_out.split()]
    weights["predictions"] = ["kernel", "bias"]
    return {layer: weights[layer] for layer in (*order, "predictions") if layer in weights}


def _names(model: keras.Model, format_name: str) -> dict[str, str]:
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    num_normal = sum(re.fullmatch(r"cell_\d+", layer.name) is not None for layer in model.layers)
    stem_kind = next((layer.kind for layer in model.layers if layer.name == "stem"), None)
    names = {}
    for path in shapes:
        name = _name(path, shapes, num_normal, stem_kind, _FORMATS.index(format_name))
        if name is not None:
            names[path] = name
        elif not path.startswith("auxiliary_logits/"):
            raise InputError(f"weight {path} has no counterpart in {format_name}, which knows NASNet-A only{_only(format_name)}")
    return names


def _only(format_name: str) -> str:
    return ", with the ImageNet stem" if format_name == "keras.applications" else ""


def _name(path: str, shapes: Mapping[str, tuple], num_normal: int, stem_kind: str | None, column: int) -> str | None:
    cell, _, below = path.partition("/")
    if "cell_" not in cell:
        slim = STEMS[stem_kind].slim if stem_kind is not None else None
        if slim is None and cell == "stem":
            return None
        stem_conv, stem_bn = slim or ("", "")
        words = {
            "stem_conv": stem_conv,
            "stem_bn": stem_bn,
            "auxiliary": f"aux_{num_normal * 2 // 3 - 1}/aux_logits",  # the cell before the second reduction
        }
        return _apply(_HEAD_RULES, path, column, words)
    name = _apply(_CELL_RULES, below, column, _words(cell, below, shapes, num_normal // 3))
    return f"{cell}/{name}" if name is not None and column == 0 else name


def _words(cell: str, below: str, shapes: Mapping[str, tuple], cells_per_stack: int) -> dict[str, str]:
    """Returns the words that replace the braces in a rule for a weight of a cell."""
    operation = below.split("/")[0]
    size = shapes.get(f"{cell}/{operation}/depthwise_1_kernel", (0,))[0]
    kind, keras_id = _kind_and_id(cell, cells_per_stack)
    place = ""
    if operation.startswith("block_"):
        _, block, side = operation.split("_")
        # Keras numbers the operations of a side from 1, but calls the reduction cell's fifth "left4".
        place = "left4" if (kind, operation) == ("reduction", "block_4_left") else f"{side}{int(block) + 1}"
    return {
        "size": f"{size}x{size}",
        "prev_bn": "final_path_bn" if f"{cell}/input_1/even_kernel" in shapes else "prev_bn",
        "output_bn": "final_path_bn" if f"{cell}/{operation}/even_kernel" in shapes else "path_bn",
        "kind": kind,
        "id": keras_id,
        "place": place,
    }


def _kind_and_id(cell: str, cells_per_stack: int) -> tuple[str, str]:
    """Returns ("normal" or "reduction", Keras' name of the cell)."""
    index = int(cell.rsplit("_", 1)[1])
    if cell.startswith("cell_stem_"):
        return "reduction", f"stem_{index + 1}"
    if cell.startswith("reduction_cell_"):
        return "reduction", f"reduce_{(index + 1) * cells_per_stack}"
    return "normal", str(index if index < cells_per_stack else index + 1)


def _apply(rules: list[tuple], text: str, column: int, words: dict[str, str]) -> str | None:
    for pattern, *replacements in rules:
        match = re.fullmatch(pattern, text)
        if match:
            return None if replacements[column] is None else match.expand(replacements[column]).format(**words)
    return None
