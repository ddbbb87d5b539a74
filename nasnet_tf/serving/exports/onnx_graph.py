"""Rewrites the graph of an ONNX file so that ONNX Runtime runs it faster. Results stay equal, except for rounding.

On a CPU, ONNX Runtime stores tensors in blocks of 8 or 16 channels. Where channels do not fill the blocks, it converts tensors back and
forth or uses slower operations. It also fuses a ReLU or a sum with the convolution before it, but not with a concatenation.
"""

import collections
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

_BLOCK = 8  # with AVX2; 16 with AVX-512
_PER_CHANNEL = ("Relu", "Clip", "MaxPool", "AveragePool")
_TAKES_PADDING = ("Conv", "Add", "Concat", *_PER_CHANNEL)

Nodes = list[onnx.NodeProto]


def rewrite(model: onnx.ModelProto) -> None:
    """Rewrites the graph of a model in place."""
    graph = Graph(model.graph)
    graph.replace(_sum_of_halves)
    graph.replace(_relu_before_concat)
    graph.replace(_Padding())
    graph.store(model.graph)


class Graph:
    """The nodes and constants of an ONNX graph.

    Attributes:
      nodes: in an order in which they can be computed.
      constants: {name: value}.
      sources: {tensor: the node that computes it}.
      readers: {tensor: the nodes that read it}; the results of the graph count as read by None.
    """

    def __init__(self, graph: onnx.GraphProto):
        self.nodes = list(graph.node)
        self.constants = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
        self._results = [value.name for value in graph.output]
        self._made = 0
        self._connect()

    def replace(self, rule: Callable[["Graph", onnx.NodeProto], Nodes | None]) -> None:
        """Replaces each node for which `rule` returns nodes by these. Nodes whose results are not used are removed."""
        nodes: Nodes = []
        for node in self.nodes:
            nodes += rule(self, node) or [node]
        self.nodes, used = [], set(self._results)
        for node in reversed(nodes):
            if used.intersection(node.output):
                used.update(node.input)
                self.nodes.insert(0, node)
        self.constants = {name: value for name, value in self.constants.items() if name in used}
        self._connect()

    def store(self, graph: onnx.GraphProto) -> None:
        """Writes the nodes and constants into an ONNX graph."""
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.constants.items())

    def constant(self, value: np.ndarray) -> str:
        """Adds a constant and returns its name."""
        name = self.name()
        self.constants[name] = value
        return name

    def name(self) -> str:
        """Returns a name that is not used."""
        self._made += 1
        return f"rewritten_{self._made}"

    def _connect(self) -> None:
        self.sources = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto | None]] = collections.defaultdict(list)
        for name in self._results:
            self.readers[name].append(None)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)


def _attributes(node: onnx.NodeProto) -> dict:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _is_constant_conv(graph: Graph, node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and all(name in graph.constants for name in node.input[1:])


def _is_plain_conv(graph: Graph, node: onnx.NodeProto) -> bool:
    """Returns whether a node is a convolution over all channels, with a constant kernel and without a bias."""
    return _is_constant_conv(graph, node) and len(node.input) == 2 and _attributes(node).get("group", 1) == 1


def _parts(graph: Graph, tensor: str) -> list[str]:
    """Returns the tensors whose channels are concatenated to a tensor; an empty list if there are none."""
    node = graph.sources.get(tensor)
    return list(node.input) if node is not None and _joins_channels(node) else []


def _joins_channels(node: onnx.NodeProto) -> bool:
    return node.op_type == "Concat" and _attributes(node)["axis"] == 1


def _relu_before_concat(graph: Graph, node: onnx.NodeProto) -> Nodes | None:
    """Replaces the ReLU of a concatenation by the concatenation of ReLUs, which ONNX Runtime fuses with the convolutions before them."""
    parts = _parts(graph, node.input[0]) if node.op_type == "Relu" else []
    if not parts or any(reader is None or reader.op_type != "Relu" for reader in graph.readers[node.input[0]]):
        return None
    relus = [helper.make_node("Relu", [part], [graph.name()]) for part in parts]
    return [*relus, helper.make_node("Concat", [relu.output[0] for relu in relus], node.output, axis=1)]


def _sum_of_halves(graph: Graph, node: onnx.NodeProto) -> Nodes | None:
    """Replaces two concatenated convolutions of one tensor, and the bias after them, by a sum: the halves of a factorized reduction.

    A kernel that is zero except at one position, which reads a shifted image, is split into a depthwise shift and a kernel of 1 x 1.
    """
    has_bias = node.op_type == "Add" and node.input[1] in graph.constants
    joined = node.input[0] if has_bias else node.output[0]
    parts = _parts(graph, joined)
    halves = [graph.sources[part] for part in parts if part in graph.sources]
    if len(parts) != 2 or len(halves) != 2 or (has_bias and len(graph.readers[joined]) != 1):
        return None
    if halves[0].input[0] != halves[1].input[0] or not all(_is_plain_conv(graph, half) for half in halves):
        return None
    kernels = [graph.constants[half.input[1]] for half in halves]
    channels = len(kernels[0]) + len(kernels[1])
    bias = graph.constants[node.input[1]] if has_bias else np.zeros([1, channels, 1, 1], kernels[0].dtype)
    if bias.shape != (1, channels, 1, 1):
        return None
    nodes: Nodes = []
    terms: list[str] = []
    for half, kernel, before in zip(halves, kernels, (0, len(kernels[0])), strict=True):
        source, attributes = half.input[0], _attributes(half)
        positions = np.argwhere(kernel.any((0, 1)))
        if kernel[0, 0].size > 1 and len(positions) == 1:
            (row, column), inputs = positions[0], kernel.shape[1]
            shift = np.zeros([inputs, 1, *kernel.shape[2:]], kernel.dtype)
            shift[:, :, row, column] = 1
            nodes.append(helper.make_node("Conv", [source, graph.constant(shift)], [graph.name()], **{**attributes, "group": inputs}))
            source, attributes, kernel = nodes[-1].output[0], {}, kernel[:, :, row : row + 1, column : column + 1]
        filled = np.pad(kernel, [(before, channels - before - len(kernel)), (0, 0), (0, 0), (0, 0)])
        constants = [filled, bias.reshape(-1)] if not terms else [filled]
        nodes.append(helper.make_node("Conv", [source, *map(graph.constant, constants)], [graph.name()], **attributes))
        terms.append(nodes[-1].output[0])
    return [*nodes, helper.make_node("Add", terms, node.output)]


class _Layout(NamedTuple):
    """Where the channels of a tensor are.

    Attributes:
      places: the place of each channel.
      width: number of places. The others are padding.
    """

    places: np.ndarray
    width: int

    @property
    def is_padded(self) -> bool:
        return self.width > len(self.places)

    @classmethod
    def of(cls, channels: int, block: int = 1) -> "_Layout":
        """Returns the layout of channels that padding follows until it fills the last block."""
        return cls(np.arange(channels), -(-channels // block) * block)

    def spread(self, value: np.ndarray, axis: int) -> np.ndarray:
        """Returns a value for each channel along an axis as a value for each place, with zeros for padding."""
        shape = list(value.shape)
        shape[axis] = self.width
        spread = np.zeros(shape, value.dtype)
        np.moveaxis(spread, axis, 0)[self.places] = np.moveaxis(value, axis, 0)
        return spread


class _Padding:
    """The rule that adds channels to the results of convolutions until they fill their blocks. Later kernels ignore these channels."""

    def __init__(self):
        self._layouts: dict[str, _Layout] = {}  # by tensor, where it is known

    def __call__(self, graph: Graph, node: onnx.NodeProto) -> Nodes | None:
        may_pad = all(reader is not None and reader.op_type in _TAKES_PADDING for reader in graph.readers[node.output[0]])
        layout, nodes = self._convolution(graph, node, may_pad) if _is_constant_conv(graph, node) else (self._joined(node), None)
        if layout is not None and (may_pad or not layout.is_padded):
            self._layouts[node.output[0]] = layout
            return nodes
        return self._without_padding(graph, node)

    def _joined(self, node: onnx.NodeProto) -> _Layout | None:
        """Returns the layout of the result of an operation that has no weights; None if it is not known or cannot be padded."""
        if node.op_type in _PER_CHANNEL:
            return self._layouts.get(node.input[0])
        layouts = [self._layouts[name] for name in node.input if name in self._layouts]
        if len(layouts) < len(node.input):
            return None
        if node.op_type == "Add" and layouts[0].width == layouts[1].width and np.array_equal(layouts[0].places, layouts[1].places):
            return layouts[0]
        if _joins_channels(node):
            starts = np.cumsum([0, *(layout.width for layout in layouts)])
            return _Layout(np.concatenate([layout.places + start for layout, start in zip(layouts, starts, strict=False)]), int(starts[-1]))
        return None

    def _convolution(self, graph: Graph, node: onnx.NodeProto, may_pad: bool) -> tuple[_Layout | None, Nodes | None]:
        """Returns the layout of a convolution's result, or None if it cannot be padded, and the nodes that replace the convolution."""
        attributes, values = _attributes(node), [graph.constants[name] for name in node.input[1:]]
        channels, group = len(values[0]), attributes.get("group", 1)
        source = self._layouts.get(node.input[0]) or _Layout.of(values[0].shape[1] * group)
        layout = _Layout.of(channels, _BLOCK if group == 1 and may_pad else 1)
        if group == 1:
            values[0] = source.spread(values[0], axis=1)
        elif group == channels and values[0].shape[1] == 1:
            layout, attributes["group"] = source, source.width
        elif source.is_padded:
            return None, None
        if not (source.is_padded or layout.is_padded):
            return layout, None
        constants = [graph.constant(layout.spread(value, axis=0)) for value in values]
        return layout, [helper.make_node("Conv", [node.input[0], *constants], node.output, **attributes)]

    def _without_padding(self, graph: Graph, node: onnx.NodeProto) -> Nodes | None:
        """Returns a node and those that remove the padding from its inputs; None if there is none."""
        nodes, inputs = [], []
        for name in node.input:
            layout = self._layouts.get(name)
            if layout is not None and layout.is_padded:
                nodes.append(helper.make_node("Gather", [name, graph.constant(layout.places)], [graph.name()], axis=1))
                name = nodes[-1].output[0]
            inputs.append(name)
        return [*nodes, helper.make_node(node.op_type, inputs, node.output, **_attributes(node))] if nodes else None
