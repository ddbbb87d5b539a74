"""Counts parameters and multiply-adds of a network as in the paper's tables, and measures its latency.

Multiply-adds are counted in the traced inference graph for one image, so they are those of the operations that really run. Convolutions,
depthwise convolutions and matrix products count; batch normalization, pooling and additions do not.
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
    """Parameters and multiply-adds of a model.

    Attributes:
      trainable_parameters: number of trainable parameters, which the paper's tables call parameters.
      parameters: number of all parameters, including the moving statistics of batch normalization.
      mult_adds: multiply-adds of inference on one image, without the auxiliary head.
    """

    trainable_parameters: int
    parameters: int
    mult_adds: int


def count_costs(model: keras.Model, image_size: tuple[int, int] | None = None) -> Costs:
    """Counts the parameters and multiply-adds of a network, a detector or a feature pyramid.

    Args:
      model: a model with one input, images [batch, height, width, 3].
      image_size: (height, width) in pixels, required for a model that takes any size; None for the model's own size.

    Returns:
      Parameters, and multiply-adds of one image.

    Raises:
      InputError: the model takes any size and no image_size is given.
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
    """Returns the multiply-adds of all operations of a graph. Their shapes must be fully defined."""
    return sum(_mult_adds(operation) for operation in graph.get_operations())


def latency_seconds(model: keras.Model, repeats: int = 15) -> float:
    """Measures the seconds that this machine needs for one image: the median of `repeats` runs of the inference graph after one warm-up."""
    network = inference_model(model)
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    _, height, width, channels = model.input.shape
    image = tf.zeros([1, height, width, channels], model.input.dtype)
    run(image).numpy()
    return statistics.median(timeit.repeat(lambda: run(image).numpy(), number=1, repeat=repeats))


def _mult_adds(operation: tf.Operation) -> int:
    """Returns the number of output elements, times the number of products that are summed for each."""
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel = operation.inputs[1]
        kernel = (kernel.op.inputs[0] if kernel.op.type == "Pad" else kernel).shape  # without the zeros of a padded kernel
        outputs = operation.outputs[0]
        # A dilated convolution runs on a batch of shifted, padded copies of the image; only the outputs that are kept count.
        consumers = outputs.consumers()
        if len(consumers) == 1 and consumers[0].type == "BatchToSpaceND":
            outputs = consumers[0].outputs[0]
        return math.prod(outputs.shape) * math.prod(kernel[:2] if operation.type != "Conv2D" else kernel[:3])
    if operation.type == "MatMul":
        return math.prod(operation.outputs[0].shape) * operation.inputs[0].shape[-1]
    return 0
