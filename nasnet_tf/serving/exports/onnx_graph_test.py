"""Tests that each rewriting of an ONNX graph changes what it should and keeps the results."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from nasnet_tf.serving.exports import onnx_graph

SIDE = 5


class Builder:
    """Builds an ONNX model from images [batch, 3, SIDE, SIDE]; each method returns the name of its result."""

    def __init__(self):
        self.nodes, self.constants, self._rng = [], [], np.random.default_rng(0)

    def add(self, kind, *inputs, **attributes):
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def constant(self, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def conv(self, source, inputs, outputs, size=1, bias=True, only=None, **attributes):
        kernel = self._rng.normal(size=[outputs, inputs // attributes.get("group", 1), size, size])
        if only is not None:
            kernel *= np.eye(size)[only][:, None] * np.eye(size)[only]
        biases = [self.constant(self._rng.normal(size=outputs))] if bias else []
        return self.add("Conv", source, self.constant(kernel), *biases, **attributes)

    def model(self, *results):
        kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("images", *results)]
        graph = helper.make_graph(self.nodes, "graph", kinds[:1], kinds[1:], self.constants)
        graph.input[0].CopyFrom(helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 3, SIDE, SIDE]))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def rewritten(model):
    """Returns the rewritten model, after checking that its results are equal and that nothing unused is in it."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    onnx_graph.rewrite(new)
    images = np.random.default_rng(1).normal(size=[2, 3, SIDE, SIDE]).astype(np.float32)
    for expected, found in zip(*(_run(each, images) for each in (model, new)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    read = {name for node in new.graph.node for name in node.input} | {value.name for value in new.graph.output}
    assert all(read.intersection(node.output) for node in new.graph.node)
    assert all(value.name in read for value in new.graph.initializer)
    return new


def _run(model, images):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"images": images})


def kinds(model):
    return [node.op_type for node in model.graph.node]


def widths(model):
    """Returns the number of output channels of each convolution."""
    sizes = {value.name: value.dims for value in model.graph.initializer}
    return [sizes[node.input[1]][0] for node in model.graph.node if node.op_type == "Conv"]


def test_relu_moves_before_a_concatenation():
    build = Builder()
    joined = build.add("Concat", *(build.conv("images", 3, 8) for _ in range(2)), axis=1)
    relus = [build.add("Relu", joined) for _ in range(2)]
    new = rewritten(build.model(*(build.conv(relu, 16, 4) for relu in relus)))
    assert kinds(new) == ["Conv", "Conv", *(["Relu", "Relu", "Concat"] * 2), "Conv", "Conv"]
    assert all(node.input[0] in {"t0", "t1"} for node in new.graph.node if node.op_type == "Relu")


def test_relu_stays_where_the_concatenation_has_other_readers_or_other_axes():
    for axis, result_of_graph in ((1, True), (1, False), (2, False)):
        build = Builder()
        joined = build.add("Concat", *(build.conv("images", 3, 8) for _ in range(2)), axis=axis)
        relu = build.add("Relu", joined)
        new = rewritten(build.model(relu, joined if result_of_graph else build.add("Neg", joined)) if axis == 1 else build.model(relu))
        assert kinds(new)[:4] == ["Conv", "Conv", "Concat", "Relu"]


@pytest.mark.parametrize("has_bias", [True, False])
def test_halves_of_a_factorized_reduction_become_a_sum(has_bias):
    build = Builder()
    whole = build.conv("images", 3, 6)
    even = build.conv(whole, 6, 2, bias=False, strides=[2, 2])
    odd = build.conv(whole, 6, 3, size=2, bias=False, only=1, strides=[2, 2], pads=[0, 0, 1, 1])
    joined = build.add("Concat", even, odd, axis=1)
    result = build.add("Add", joined, build.constant(np.arange(5).reshape(1, 5, 1, 1))) if has_bias else joined
    new = rewritten(build.model(build.conv(result, 5, 7)))
    assert "Concat" not in kinds(new)
    assert kinds(new).count("Add") == 1
    assert kinds(new).count("Conv") == 5  # the first, one for each half, the shift, and the last
    assert [helper.get_attribute_value(each) for node in new.graph.node for each in node.attribute if each.name == "group"] == [8]


@pytest.mark.parametrize("change", ["bias in a half", "three parts", "two sources", "groups"])
def test_other_concatenations_of_convolutions_stay(change):
    build = Builder()
    sources = ["images", build.conv("images", 3, 3) if change == "two sources" else "images"]
    halves = [build.conv(source, 3, 3, bias=change == "bias in a half", group=3 if change == "groups" else 1) for source in sources]
    parts = [*halves, halves[0]] if change == "three parts" else halves
    joined = build.add("Concat", *parts, axis=1)
    shifted = build.add("Add", joined, build.constant(np.ones([1, 3 * len(parts), 1, 1])))
    assert "Concat" in kinds(rewritten(build.model(shifted)))


def test_channels_fill_blocks_between_convolutions():
    build = Builder()
    a, b = build.conv("images", 3, 11), build.conv("images", 3, 11)
    deep = build.conv(build.conv(build.add("Relu", a), 11, 11, size=3, pads=[1] * 4, group=11), 11, 11)
    pool = build.add("AveragePool", b, kernel_shape=[3, 3], pads=[1] * 4)
    joined = build.add("Concat", a, build.add("Add", deep, pool), axis=1)
    new = rewritten(build.model(build.conv(joined, 22, 5)))
    assert widths(new) == [16, 16, 16, 16, 5]  # not the result of the graph
    assert "Gather" not in kinds(new)


def test_padding_ends_where_an_operation_does_not_take_it():
    build = Builder()
    narrow = build.conv("images", 3, 11)
    halved = build.add("Concat", build.conv("images", 3, 5), build.conv("images", 3, 6), axis=1)
    total = build.add("Relu", build.add("Add", narrow, halved))  # equal channels in different places
    grouped = build.conv(build.conv(narrow, 11, 4), 4, 6, group=2)
    multiplied = build.conv(narrow, 11, 22, group=11)
    logistic = build.add("Sigmoid", build.add("Relu", narrow))
    new = rewritten(build.model(total, grouped, multiplied, logistic))
    assert kinds(new).count("Gather") == 5
    full = Builder()
    assert kinds(rewritten(full.model(full.conv(full.conv("images", 3, 16), 16, 8)))) == ["Conv", "Conv"]
