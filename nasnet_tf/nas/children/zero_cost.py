"""Zero-cost proxies, which score untrained networks: NASWOT (arXiv 2006.04647) and SynFlow (arXiv 2006.05467).

tools/rank_correlation.py measures how well such a score ranks architectures.
"""

import dataclasses
import math
import time
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.values import Seed, at_least, check_fields
from nasnet_tf.data import ImageData
from nasnet_tf.genotype import parse_genotype
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.children.protocol import Evaluator

_SMALLEST = 1e-6  # added to the diagonal of NASWOT's kernel, which is singular if two images have the same code


@dataclasses.dataclass(eq=False)
class ZeroCost(Evaluator):
    """Scores networks without training them. One score is the reward; the metrics include all scores and the time each took, in seconds.

    Attributes:
      network: how cells are stacked.
      data: the data set; NASWOT uses one batch of its training images.
      proxy: the score that is the reward: "naswot", "synflow", or "parameters" for the number of trainable parameters.
      batch_size: number of images for NASWOT, 2 or more.
      seed: seed of the weights and of the choice of images.
    """

    network: NetworkConfig
    data: ImageData
    proxy: Literal["naswot", "synflow", "parameters"] = "naswot"
    batch_size: at_least(2) = 64
    seed: Seed = 0

    def __post_init__(self):
        check_fields(self)
        self._images: np.ndarray | None = None

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        """Scores an architecture; see `Evaluator`."""
        if self._images is None:
            self._images, _ = next(iter(self.data.train(self.batch_size, self.seed).as_numpy_iterator()))
        keras.utils.set_random_seed(self.seed)
        start = time.monotonic()
        model = build_network(parse_genotype(genotype_text), self.network, self.data.num_classes, self.data.image_size)
        metrics = {"build_seconds": time.monotonic() - start}
        # SynFlow comes first, because it reads the moving statistics, which NASWOT changes.
        for name, score in (("synflow", lambda: synflow(model)), ("naswot", lambda: naswot(model, self._images))):
            start = time.monotonic()
            metrics[name] = score()
            metrics[f"{name}_seconds"] = time.monotonic() - start
        costs = count_costs(model)
        metrics |= {"parameters": costs.trainable_parameters, "mult_adds": costs.mult_adds}
        keras.utils.clear_session()
        return {"reward": metrics[self.proxy], "metrics": metrics}


def naswot(model: keras.Model, images: np.ndarray) -> float:
    """Returns NASWOT's score log |det K|, where K[i, j] is the number of ReLUs that have the same on/off state for images i and j.

    Args:
      model: the network; it is run in training mode, which changes its moving statistics.
      images: float32 [batch, height, width, 3].
    """

    @tf.function(autograph=False)
    def relus(images):
        model(images, training=True)
        return [operation.outputs[0] for operation in tf.compat.v1.get_default_graph().get_operations() if operation.type == "Relu"]

    kernel = np.zeros([len(images)] * 2)
    for outputs in relus(tf.constant(images)):
        codes = tf.cast(tf.reshape(outputs > 0, [len(images), -1]), tf.float32)
        kernel += (codes @ tf.transpose(codes) + (1 - codes) @ tf.transpose(1 - codes)).numpy()
    return float(np.linalg.slogdet(kernel + _SMALLEST * np.eye(len(images)))[1])


def synflow(model: keras.Model) -> float:
    """Returns SynFlow's score: the logarithm of the sum of |weight * gradient| over all weights; NaN if that sum is not positive.

    The gradient is that of the sum of all outputs for an image of ones, with the absolute values of the weights. Batch normalization is in
    inference mode. The weights are restored afterwards.
    """
    weights = [variable.numpy() for variable in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(np.abs(value))
    with tf.GradientTape() as tape:
        outputs = tf.reduce_sum(model(tf.ones([1, *model.input.shape[1:]]), training=False))
    gradients = tape.gradient(outputs, model.trainable_variables)
    total = sum(float(tf.reduce_sum(tf.abs(v * g))) for v, g in zip(model.trainable_variables, gradients, strict=True) if g is not None)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return math.log(total) if total > 0 else float("nan")
