"""Parameters and multiply-adds of a network, as the paper's tables count them.

Multiply-adds are read off the traced inference graph, so they are those of the operations that run: convolutions, depthwise
convolutions and matrix products, for one image. Batch normalization, pooling and additions count nothing.
"""

import dataclasses
import math
import statistics
import timeit

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.network import inference_model


@dataclasses.dataclass(frozen=True)
class Costs:
    """Attributes:
    trainable_parameters: what the paper's tables call parameters.
    parameters: the same with the moving statistics of batch normalization.
    mult_adds: multiply-adds of one inference on one image, which needs no auxiliary head.
    """

    trainable_parameters: int
    parameters: int
    mult_adds: int


def count_costs(model: keras.Model, image_size: tuple[int, int] | None = None) -> Costs:
    """Counts a model whose one input is images [batch, height, width, 3]: a network, a detector or a pyramid.

    Args:
      image_size: height and width, for a model that takes any size.
    """
    batch, height, width, channels = model.input.shape
    height, width = (height, width) if image_size is None else image_size
    if height is None or width is None:
        raise InputError("count_costs: this model takes images of any size; give image_size=(height, width)")
    spec = tf.TensorSpec([1, height, width, channels], model.input.dtype)
    network = inference_model(model)
    graph = tf.function(lambda images: network(images, training=False), autograph=False).get_concrete_function(spec).graph
    return Costs(
        trainable_parameters=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        parameters=sum(math.prod(variable.shape) for variable in model.weights),
        mult_adds=graph_mult_adds(graph),
    )


def graph_mult_adds(graph: tf.Graph) -> int:
    """Those of its operations, whose shapes are known."""
    return sum(_mult_adds(operation) for operation in graph.get_operations())


def latency_seconds(model: keras.Model, repeats: int = 15) -> float:
    """Seconds that this machine takes for one image: the median of so many runs of the inference graph, after one to warm up."""
    network = inference_model(model)
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    _, height, width, channels = model.input.shape
    image = tf.zeros([1, height, width, channels], model.input.dtype)
    run(image).numpy()
    return statistics.median(timeit.repeat(lambda: run(image).numpy(), number=1, repeat=repeats))


def _mult_adds(operation: tf.Operation) -> int:
    """Output elements times the products that each is the sum of."""
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel = operation.inputs[1]
        kernel = (kernel.op.inputs[0] if kernel.op.type == "Pad" else kernel).shape  # the zeros around it count nothing
        outputs = operation.outputs[0]
        # A dilated convolution runs on a batch of shifted, padded copies of its image; only what is kept of them counts.
        consumers = outputs.consumers()
        if len(consumers) == 1 and consumers[0].type == "BatchToSpaceND":
            outputs = consumers[0].outputs[0]
        return math.prod(outputs.shape) * math.prod(kernel[:2] if operation.type != "Conv2D" else kernel[:3])
    if operation.type == "MatMul":
        return math.prod(operation.outputs[0].shape) * operation.inputs[0].shape[-1]
    return 0
