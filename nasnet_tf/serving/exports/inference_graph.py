"""Freezes a network into one graph for inference: variables become constants, and batch normalization is folded into convolutions.

The graph is smaller than the trainable network, loads faster, and runs faster on the CPU, because it reads no variables and TensorFlow
fuses operations on constants.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

Structure = TypeVar("Structure")
_SEEN_THROUGH = ("BatchToSpaceND", "Identity")  # may stand between a convolution and its normalization; they keep the channels


def freeze(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Freezes a network and folds its batch normalizations.

    Args:
      model: from images to a tensor, which the result calls "output", or to a dict of tensors.

    Returns:
      A graph function from images float32 [batch, height, width, 3], as the model takes them, to a dict of tensors. It holds copies of the
      current weights.
    """
    with tf.init_scope():  # this function may be called while another one is traced
        state = [[variable.numpy() for variable in variables] for variables in (model.trainable_variables, model.non_trainable_variables)]
    names = list(model.output) if isinstance(model.output, dict) else ["output"]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.float32, "images")])
    def infer(images):
        outputs, _ = model.stateless_call(*state, images, training=False)
        outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
        return [tf.identity(outputs[name], name=f"result_{index}") for index, name in enumerate(names)]

    graph_def = fold_batch_norms(infer.get_concrete_function().graph.as_graph_def())
    fetches = [f"result_{index}:0" for index in range(len(names))]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    function = wrapped.prune("images:0", fetches)
    return lambda images: dict(zip(names, function(images), strict=True))


def for_any_batch(run: Callable[[tf.Tensor], Structure]) -> Callable[[tf.Tensor], Structure]:
    """Returns a function like `run` that also takes empty batches, on which TensorFlow's oneDNN convolutions fail.

    An empty batch runs as one image of zeros, whose result is dropped. The image is appended with tf.concat instead of tf.pad: TensorFlow
    fuses tf.pad with the following convolution, and oneDNN then sees the empty batch again. `freeze` does not do this, because converters
    would keep these operations.

    Args:
      run: function from images float32 [batch, height, width, 3] to a tensor or a structure of tensors, each [batch, ...].
    """

    def run_any(images: tf.Tensor) -> Structure:
        count = tf.shape(images)[0]
        filler = tf.zeros(tf.concat([[tf.maximum(1 - count, 0)], tf.shape(images)[1:]], 0), images.dtype)
        return tf.nest.map_structure(lambda values: values[:count], run(tf.concat([images, filler], 0)))

    return run_any


def fold_batch_norms(graph_def: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Folds inference batch normalizations into the kernels of the convolutions before them, and returns the new graph.

    An addition remains of each normalization; its factor is multiplied into the kernel.

    Only normalizations with constant statistics are folded. If the input of a normalization does not come from convolutions only, or if
    something else reads it or their kernels too, the factor becomes a multiplication.
    """
    folded = tf.compat.v1.GraphDef()
    folded.CopyFrom(graph_def)
    nodes = {node.name: node for node in folded.node}
    readers: dict[str, int] = {}
    for node in folded.node:
        _fold_pad(nodes, node)
    for node in folded.node:
        for source in node.input:
            readers[_name(source)] = readers.get(_name(source), 0) + 1
    for node in list(folded.node):
        if node.op != "FusedBatchNormV3" or node.attr["is_training"].b:
            continue
        constants = [_constant(nodes, source) for source in node.input[1:5]]
        if any(constant is None for constant in constants):
            continue
        gamma, beta, mean, variance = (constant.astype(np.float64) for constant in constants)
        factor = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        shift = _add_constant(folded, f"{node.name}/shift", beta - mean * factor)
        source = node.input[0]
        kernels = _kernels_before(nodes, readers, source, len(factor))
        if kernels is None:
            source = _add_op(folded, "Mul", f"{node.name}/scaled", [source, _add_constant(folded, f"{node.name}/factor", factor)])
        else:
            start = 0
            for kernel in kernels:
                value = tf.make_ndarray(kernel.attr["value"].tensor)
                part = factor[start : start + value.shape[-1]]
                kernel.attr["value"].tensor.CopyFrom(tf.make_tensor_proto((value * part).astype(np.float32)))
                start += value.shape[-1]
        node.CopyFrom(_op("BiasAdd", node.name, [source, shift]))
    return folded


def _fold_pad(nodes: Mapping, node: tf.compat.v1.NodeDef) -> None:
    """Replaces a padded constant, such as a kernel of factorized reduction, by one constant."""
    value, amounts = (_constant(nodes, source) for source in node.input) if node.op == "Pad" else (None, None)
    if value is not None and amounts is not None:
        node.CopyFrom(_constant_node(node.name, np.pad(value, amounts)))


def _name(source: str) -> str:
    return source.lstrip("^").split(":")[0]


def _node(nodes: Mapping, source: str):
    """Returns the node that an input comes from; skips identities."""
    node = nodes[_name(source)]
    while node.op == "Identity":
        node = nodes[_name(node.input[0])]
    return node


def _constant(nodes: Mapping, source: str) -> np.ndarray | None:
    node = _node(nodes, source)
    return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def _kernels_before(nodes: Mapping, readers: Mapping[str, int], source: str, channels: int) -> list | None:
    """Returns the constant kernels of the convolutions whose concatenated results are this tensor; None if it has other parts or uses."""
    node = nodes[_name(source)]
    if readers[node.name] != 1:
        return None
    if node.op in _SEEN_THROUGH:
        return _kernels_before(nodes, readers, node.input[0], channels)
    if node.op == "ConcatV2" and _constant(nodes, node.input[-1]) in (-1, 3):
        parts = [_kernels_before(nodes, readers, part, channels) for part in node.input[:-1]]
        return None if any(part is None for part in parts) else sum(parts, [])
    if node.op != "Conv2D" or _kernel(nodes, node).op != "Const":
        return None
    kernel = _kernel(nodes, node)
    return [kernel] if readers[kernel.name] == 1 else None


def _kernel(nodes: Mapping, convolution):
    """Returns the node of a convolution's kernel, without the zeros around it."""
    kernel = _node(nodes, convolution.input[1])
    return _node(nodes, kernel.input[0]) if kernel.op == "Pad" else kernel


def _op(kind: str, name: str, inputs: list[str]) -> tf.compat.v1.NodeDef:
    node = tf.compat.v1.NodeDef(op=kind, name=name, input=inputs)
    node.attr["T"].type = tf.float32.as_datatype_enum
    return node


def _add_op(graph_def: tf.compat.v1.GraphDef, kind: str, name: str, inputs: list[str]) -> str:
    graph_def.node.append(_op(kind, name, inputs))
    return name


def _add_constant(graph_def: tf.compat.v1.GraphDef, name: str, value: np.ndarray) -> str:
    graph_def.node.append(_constant_node(name, value))
    return name


def _constant_node(name: str, value: np.ndarray) -> tf.compat.v1.NodeDef:
    node = tf.compat.v1.NodeDef(op="Const", name=name)
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
    return node
